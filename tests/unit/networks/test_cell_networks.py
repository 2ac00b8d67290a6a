"""Published networks of cells and trees: ONNX Runtime and the stand-alone source."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from hwnas.core.counting import count
from hwnas.core.network import NetworkSpec
from hwnas.formats.onnx_file import to_onnx
from hwnas.formats.source import to_source
from hwnas.networks.catalogue import published
from hwnas.nn.build import BuiltNetwork, arrays_of

SettledModule = Callable[[NetworkSpec], BuiltNetwork]
SMALL = {"nasnet-a-mobile": 64, "nasnet-a-cifar": 16, "darts-v2": 16, "proxyless-cifar": 16}  # pixels


@pytest.mark.parametrize("name", SMALL)
def test_onnxruntime_and_the_source_agree_with_torch(tmp_path: Path, settled_module: SettledModule, name: str) -> None:
    network = published(name).network((3, SMALL[name], SMALL[name]))
    module = settled_module(network)
    arrays = arrays_of(module)
    images = torch.randn(2, *network.input_shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = module(images)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = to_onnx(network, arrays, batch=2)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (found,) = session.run(["scores"], {"images": images.numpy()})
    # f32 alone, against f64, is up to 3e-4 off in these deep random networks.
    assert np.abs(found - expected.numpy()).max() / expected.std() < 1e-3

    path = tmp_path / "network.py"
    path.write_text(to_source(network), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("network", path)
    assert spec is not None and spec.loader is not None
    source = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(source)
    alone = source.Network()
    alone.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    with torch.inference_mode():
        torch.testing.assert_close(alone.eval()(images), expected, rtol=1e-4, atol=1e-4 * float(expected.std()))


def test_darts_v2_has_the_published_size() -> None:
    network = published("darts-v2").network()
    assert count(network).params == 3_349_342  # what the released code prints, without the auxiliary head
    assert len(network.nodes) == 1 + 20 + 1
    channels = {node.layer.channels for node in network.nodes[1:-1]}  # type: ignore[attr-defined]
    reductions = [index for index, node in enumerate(network.nodes[1:-1]) if node.layer.reduction]  # type: ignore[attr-defined]
    assert (channels, reductions) == ({36, 72, 144}, [6, 13])
