"""What can be asked for by name, with one sentence each."""

from __future__ import annotations

from hwnas.compose.fits import LOSSES
from hwnas.compose.spaces import SPACES
from hwnas.compose.strategies import REWARDS, STRATEGIES
from hwnas.config import GRADIENT
from hwnas.data.catalogue import known_sources
from hwnas.hardware.tables.store import known_tables
from hwnas.networks.catalogue import NETWORKS
from hwnas.networks.published import Published

TARGETS: dict[str, str] = {
    "onnxruntime-f32": "ONNX Runtime on this machine's CPU: f32, one image, one thread (short: onnxruntime)",
    "ncnn-f32": "ncnn on this machine's CPU: f32 (short: ncnn)",
    "litert-f32": "LiteRT (TensorFlow Lite) with XNNPACK on this machine's CPU: f32 (short: litert)",
    "mnn-f32": "MNN on this machine's CPU: f32 (short: mnn)",
    "torch-f32": "PyTorch's eager mode on this machine's CPU, without any engine: f32 (short: torch)",
}
_GRADIENT = "ProxylessNAS's gradient form: a supernet, and gates that learn from its loss and a latency model"


def known_names() -> dict[str, dict[str, str]]:
    """Everything that can be asked for by name, by kind ("networks", "spaces", …), each with one sentence."""
    data = {**known_sources(), "toy": "generated images for the space 'toy': two bars, the label says how far apart"}
    return {
        "networks": {name: _sentence(one) for name, one in NETWORKS.items()},
        "spaces": {name: space.text for name, space in SPACES.items()},
        "data": data,
        "targets": TARGETS,
        "tables": known_tables(),
        "losses": LOSSES,
        "strategies": {GRADIENT: _GRADIENT, **{name: one.text for name, one in STRATEGIES.items()}},
        "rewards": REWARDS,
    }


def _sentence(network: Published) -> str:
    top1 = f", {network.reported_top1:g} % top-1 reported" if network.reported_top1 else ""
    return f"{network.title} ({network.data}, {network.resolution} pixels{top1})"
