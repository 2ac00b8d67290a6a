"""The stand-alone source: the same numbers, its own reader of weights, and nothing a stranger's name could start."""

from __future__ import annotations

import ast
import importlib.util
import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, MBConv
from hwnas.core.network import NetworkSpec, Node
from hwnas.formats.arrays import expected_arrays
from hwnas.formats.source import TAKEN_BY_TORCH, to_source
from hwnas.nn.build import build, load_arrays
from hwnas.spaces.proxyless import proxyless_space

Networks = Callable[[str], NetworkSpec]
UsedArrays = Callable[[NetworkSpec, int], dict[str, np.ndarray]]
SPACE = proxyless_space("proxyless-small", (3, 24, 24), 10)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def imported(folder: Path, source: str) -> ModuleType:
    path = folder / "network.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("network", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agrees(folder: Path, network: NetworkSpec, arrays: dict[str, np.ndarray]) -> None:
    """Loads the source and the weights from files and compares with the built network, in eval and train mode."""
    save_file(arrays, folder / "weights.safetensors", {"format": "pt"})
    theirs = imported(folder, to_source(network)).load(folder / "weights.safetensors")
    assert list(theirs.state_dict()) == list(expected_arrays(network))
    ours = build(network).eval()
    load_arrays(ours, arrays)
    images = torch.randn(3, *network.input_shape, generator=torch.Generator().manual_seed(1))
    for mode in (False, True):
        with torch.inference_mode():
            torch.testing.assert_close(theirs.train(mode)(images), ours.train(mode)(images))


@pytest.mark.parametrize("seed", range(3))
def test_random_architectures_agree(tmp_path: Path, used_arrays: UsedArrays, seed: int) -> None:
    network = SPACE.decode(SPACE.choices.sample_spread(np.random.default_rng(seed)))
    agrees(tmp_path, network, used_arrays(network, seed))


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_agree(tmp_path: Path, cell_network: Networks, used_arrays: UsedArrays, name: str) -> None:
    network = cell_network(name)
    agrees(tmp_path, network, used_arrays(network, 0))


def test_squeeze_excite_and_every_activation_agree(tmp_path: Path, used_arrays: UsedArrays) -> None:
    kinds = ("relu", "relu6", "sigmoid", "hard_sigmoid", "hard_swish", "swish")
    blocks = [Node(f"stage.b{i}", MBConv(4, 3, 2, se_channels=3, activation=kind)) for i, kind in enumerate(kinds)]
    network = NetworkSpec((4, 6, 6), (*blocks, Node("classifier", Classifier(4))))
    agrees(tmp_path, network, used_arrays(network, 0))


def test_names_that_python_or_torch_uses_itself(tmp_path: Path, used_arrays: UsedArrays) -> None:
    names = ("in", "class.def", "type", "self", "half.forward.x", "x", "layer", "match", "F", "torch")
    nodes = tuple(Node(name, MBConv(3, 3, 2)) for name in names)
    network = NetworkSpec((3, 6, 6), (*nodes, Node("classifier", Classifier(4))))
    agrees(tmp_path, network, used_arrays(network, 0))


def test_the_list_of_taken_names_is_whole() -> None:
    assert {name for name in dir(nn.Module()) if not name.startswith("_")} <= TAKEN_BY_TORCH


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a.",
        "a..b",
        "a b",
        "a\nimport os",
        "a'",
        'a"""',
        "a#",
        "1a",
        "a-b",
        "é",
        "ﬁ",
        "a);import os;(",
        "a\x00",
    ],
)
def test_names_that_are_no_identifiers_are_refused(name: str) -> None:
    network = NetworkSpec((3, 6, 6), (Node(name, ConvBnAct(3, 3)),))
    with pytest.raises(InputError, match="cannot stand in a module or in Python source"):
        to_source(network)


def test_a_name_inside_another_is_refused() -> None:
    nodes = [Node("a", ConvBnAct(2, 3)), Node("a.conv", ConvBnAct(2, 3))]
    for order in (nodes, nodes[::-1]):
        with pytest.raises(InputError, match="rename its node"):
            to_source(NetworkSpec((2, 4, 4), tuple(order)))


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_the_source_imports_torch_and_the_standard_library_and_executes_nothing(
    cell_network: Networks, name: str
) -> None:
    tree = ast.parse(to_source(cell_network(name)))
    roots, called = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.add(node.func.id)
    assert roots - {"torch"} <= sys.stdlib_module_names
    assert not called & {"eval", "exec", "compile", "__import__", "getattr", "open"}


def test_the_source_reads_well() -> None:
    network = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(4, 3, 2)), Node("stage1.block0", MBConv(4, 5, 3))))
    source = to_source(NetworkSpec((3, 8, 8), (*network.nodes, Node("classifier", Classifier(7)))))
    assert max(len(line) for line in source.splitlines()) <= 120
    assert (
        "            stem=Group(conv=nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), bn=BatchNorm(4)),\n" in source
    )
    body = source[source.index("def forward(self, x: torch.Tensor) -> torch.Tensor:\n        # stem") :]
    assert [line.strip() for line in body.splitlines()[1:15]] == [
        "# stem: ConvBnAct(out_channels=4, kernel=3, stride=2)",
        "x = F.relu6(self.stem.bn(self.stem.conv(x)))  # 4, 4, 4",
        "",
        "# stage1.block0: MBConv(out_channels=4, kernel=5, expansion=3)",
        "layer = self.stage1.block0",
        "y = F.relu6(layer.expand.bn(layer.expand.conv(x)))  # 12, 4, 4",
        "y = F.relu6(layer.depthwise.bn(layer.depthwise.conv(y)))  # 12, 4, 4",
        "y = layer.project.bn(layer.project.conv(y))  # 4, 4, 4",
        "x = y + x  # 4, 4, 4",
        "",
        "# classifier: Classifier(classes=7)",
        "x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)  # 4",
        "x = self.classifier.linear(x)  # 7",
        "return x",
    ]


def test_it_runs_alone(tmp_path: Path, used_arrays: UsedArrays) -> None:
    """In a process of its own that can import nothing but torch (and what torch itself needs)."""
    network = SPACE.decode(SPACE.choices.sample(np.random.default_rng(8)))
    arrays = used_arrays(network, 8)
    save_file(arrays, tmp_path / "weights.safetensors")
    (tmp_path / "network.py").write_text(to_source(network), encoding="utf-8")
    code = (
        "import sys\n"
        "import torch\n"
        "for name in ('hwnas', 'safetensors', 'onnx', 'onnxruntime', 'timm', 'torchvision'):\n"
        "    sys.modules[name] = None\n"
        "import runpy\n"
        "runpy.run_path('network.py', run_name='__main__')\n"
        "sys.path.insert(0, '.')\n"
        "from network import load\n"
        "images = torch.linspace(-1, 1, 3 * 24 * 24).reshape(1, 3, 24, 24)\n"
        "print(load('weights.safetensors')(images).tolist())\n"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    first, second = run.stdout.splitlines()
    assert first == "scores of one random image: (1, 10)"
    ours = build(network).eval()
    load_arrays(ours, arrays)
    images = torch.linspace(-1, 1, 3 * 24 * 24).reshape(1, 3, 24, 24)
    with torch.inference_mode():
        torch.testing.assert_close(torch.tensor(json.loads(second)), ours(images), rtol=1e-4, atol=1e-4)


def _file(header: object, body: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + body


def _entry(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        _file({}, size=2**63),
        _file({}, size=3),
        _file(b"[1]"),
        _file(b"{"),
        _file(b"\xff\xfe"),
        _file(b"[" * 100_000),
        _file(_entry(), b"1234567"),
        _file(_entry(data_offsets=[8, 16]), b"12345678"),
        _file(_entry(data_offsets=[-8, 0]), b"12345678"),
        _file(_entry(data_offsets=[0, 8, 16]), b"12345678"),
        _file(_entry(data_offsets=[0, "8"]), b"12345678"),
        _file(_entry(data_offsets=None), b"12345678"),
        _file(_entry(shape=[3]), b"12345678"),
        _file(_entry(shape=[-2]), b"12345678"),
        _file(_entry(shape=[2.0]), b"12345678"),
        _file(_entry(shape=[2**40, 2**40]), b"12345678"),
        _file(_entry(shape=[0], data_offsets=[0, 0]), b"12345678"),
        _file(_entry(dtype="F64"), b"12345678"),
        _file({"a": 3}, b"12345678"),
        _file({"a": {}}, b"12345678"),
    ],
)
def test_damaged_weights_are_refused(tmp_path: Path, data: bytes) -> None:
    module = imported(tmp_path, to_source(NetworkSpec((3, 6, 6), (Node("a", ConvBnAct(3, 3)),))))
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        module.read_safetensors(path)


def test_weights_cut_short_anywhere_are_refused(tmp_path: Path, used_arrays: UsedArrays) -> None:
    network = NetworkSpec((3, 6, 6), (Node("a", ConvBnAct(3, 3)),))
    module = imported(tmp_path, to_source(network))
    whole = tmp_path / "weights.safetensors"
    save_file(used_arrays(network, 0), whole)
    assert set(module.read_safetensors(whole)) == set(expected_arrays(network))
    data, path = whole.read_bytes(), tmp_path / "cut.safetensors"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            module.read_safetensors(path)
