"""Every published network: what is said of it, its file, its names, and what may not be loaded to read it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch

from hwnas.core.darts import DartsCell
from hwnas.core.errors import InputError, UnknownName
from hwnas.core.nasnet import NasnetCell
from hwnas.core.network import NetworkSpec
from hwnas.formats.onnx_file import to_onnx
from hwnas.networks.catalogue import NETWORKS, published
from hwnas.nn.build import build, load_arrays

UsedArrays = Callable[[NetworkSpec, int], dict[str, np.ndarray]]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_said_of_a_network(name: str) -> None:
    one = NETWORKS[name]
    assert one.name == name and re.fullmatch(r"[a-z0-9]+(-[a-z0-9.]+)*", name)
    assert one.title and one.origin and re.search(r"\b(19|20)\d\d, \w", one.paper)
    assert one.reported_top1 is None or 40 < one.reported_top1 < 100
    assert not one.note.endswith(".")


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_goes_through_json(name: str) -> None:
    network = NETWORKS[name].network(classes=7)
    text = json.dumps(network.to_json())
    assert NetworkSpec.from_json(json.loads(text)) == network
    assert json.dumps(NetworkSpec.from_json(json.loads(text)).to_json()) == text


@pytest.mark.parametrize("name", NETWORKS)
def test_nodes_are_named_by_their_place(name: str) -> None:
    nodes = NETWORKS[name].network().nodes
    names = [node.name for node in nodes]
    assert names[0] == "stem" and names[-1] == "classifier"
    assert all(re.fullmatch(r"first|pool|head|stem_cell\d|stage[1-9]\.block\d+", one) for one in names[1:-1])
    # Only cells read another value than that of the node before.
    assert all(isinstance(node.layer, (NasnetCell, DartsCell)) for node in nodes if node.inputs)


@pytest.mark.parametrize("name", ["mobilenet-v3-small", "shufflenet-v2-x0.5"])
def test_onnx_runtime_computes_what_torch_does(used_arrays: UsedArrays, name: str) -> None:
    network = published(name).network((3, 75, 64))
    module, arrays = build(network).eval(), used_arrays(network, 1)
    load_arrays(module, arrays)
    images = torch.randn(2, *network.input_shape, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = module(images).numpy()
    session = onnxruntime.InferenceSession(to_onnx(network, arrays, batch=2), providers=["CPUExecutionProvider"])
    (found,) = session.run(["scores"], {"images": images.numpy()})
    assert float(np.abs(found - expected).max() / np.abs(expected).max()) < 1e-5


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [("mobilnet-v2", "mobilenet-v2"), ("proxyless_gpu", "proxyless-gpu"), ("resnet18", "resnet-18")],
)
def test_an_unknown_name_gets_the_nearest(asked: str, nearest: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean '{nearest}'"):
        published(asked)


@pytest.mark.parametrize("name", [name for name, one in NETWORKS.items() if not one.scales])
def test_a_fixed_network_refuses_other_widths(name: str) -> None:
    with pytest.raises(InputError, match="its widths only"):
        published(name).network(width=0.5)


def test_reading_the_catalogue_loads_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from hwnas.core.counting import count\n"
        "from hwnas.networks.catalogue import published\n"
        "assert count(published('mobilenet-v3-large').network()).params == 5_483_032\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "hwnas" in loaded
    assert not {"torch", "numpy", "onnx", "onnxruntime", "timm", "torchvision", "yaml", "pydantic"} & set(loaded)
