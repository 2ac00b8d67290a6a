"""The ExecuTorch writer: the same numbers as torch, all from XNNPACK, in a file that ExecuTorch's runtime reads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.core.errors import InputError, TargetUnavailable
from hwnas.core.layers import ConvBnAct, LayerSpec, Zero
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import (
    ACTIVATIONS,
    Activation,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GraphWriter,
    Linear,
    Mul,
    Pad,
    Pool,
    Primitive,
    Shape,
    Shuffle,
    Slice,
)
from hwnas.formats.arrays import random_arrays
from hwnas.formats.executorch_file import to_executorch
from hwnas.hardware.engines.executorch import ExecuTorchEngine
from hwnas.nn.build import build, load_arrays
from hwnas.testing.engines import networks

pytest.importorskip("executorch")

Arrays = dict[str, np.ndarray]
UsedArrays = Callable[[NetworkSpec, int], Arrays]


@dataclass(frozen=True)
class Chain(LayerSpec):
    """Primitives one after another; the first reads the input as often as it needs."""

    primitives: tuple[Primitive, ...]
    reads: int = 1

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        value = graph.add(f"{name}.step0", self.primitives[0], *inputs * self.reads)
        for index, primitive in enumerate(self.primitives[1:], 1):
            value = graph.add(f"{name}.step{index}", primitive, value)
        return value


def chain(shape: Shape, *primitives: Primitive, reads: int = 1) -> NetworkSpec:
    return NetworkSpec(shape, (Node("a", Chain(primitives, reads)),))


def both(network: NetworkSpec, arrays: Arrays, batch: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """What the file gives, and torch's on the same images."""
    module = build(network).eval()
    load_arrays(module, arrays)
    images = torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = module(images).numpy()
    return ExecuTorchEngine(batch=batch).predict(to_executorch(network, arrays, batch=batch), images.numpy()), expected


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the reference's standard deviation."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / expected.std())


@pytest.mark.parametrize("name", networks())
def test_networks_agree_with_torch_in_batches(used_arrays: UsedArrays, name: str) -> None:
    network = networks()[name]
    assert error(*both(network, used_arrays(network, 0), batch=3)) < 1e-5


@pytest.mark.parametrize("name", networks())
def test_a_file_that_is_gone_from_memory_gives_the_same_scores(name: str, tmp_path: Path) -> None:
    """Read from the disk, as on a device: the runtime gives the memory back when it has loaded the network."""
    from executorch.extension.pybindings import _C

    network = networks()[name]
    model = to_executorch(network, random_arrays(network, 0))
    images = np.random.default_rng(0).standard_normal((1, *network.input_shape), dtype=np.float32)
    expected = ExecuTorchEngine().predict(model, images)
    (tmp_path / "model.pte").write_bytes(model)
    program = _C._load_program(str(tmp_path / "model.pte"))
    found = program.load_method("forward").call((torch.from_numpy(images),))[0].numpy()
    np.testing.assert_array_equal(found, expected)


BEFORE: dict[str, tuple[Primitive, ...]] = {
    "alone": (Pad(top=1),), "behind a batch-norm": (Conv(3, 8, (3, 3)), BatchNorm(8)), "on features": (Flatten(),)
}  # fmt: skip


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("place", BEFORE)
def test_activations_agree_with_torch(used_arrays: UsedArrays, kind: str, place: str) -> None:
    network = chain((3, 7, 7), *BEFORE[place], Activation(kind))
    arrays = {name: array * 4 for name, array in used_arrays(network, 1).items()}  # both ends are reached
    assert error(*both(network, arrays)) < 1e-5


CONVOLUTIONS = [
    Conv(8, 12, (3, 3), padding=(1, 1), groups=2),
    Conv(8, 12, (3, 3), padding=(1, 1), groups=4, stride=2, bias=True),
    Conv(8, 16, (5, 3), padding=(2, 1), groups=8, stride=2),
    Conv(8, 8, (3, 3), padding=(2, 2), groups=8, dilation=2),
    Conv(8, 6, (3, 5), padding=(1, 4), dilation=2),
    Conv(8, 6, (1, 1), stride=2, bias=True),
    Conv(1, 6, (4, 4), padding=(1, 1), stride=3),
    Conv(8, 1, (3, 3)),
]


@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("size", [(9, 12), (10, 11)])
def test_convolutions_agree_with_torch(used_arrays: UsedArrays, conv: Conv, size: Shape) -> None:
    network = chain((conv.in_channels, *size), conv)
    assert error(*both(network, used_arrays(network, 0))) < 1e-5


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("window", [(3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 2, 0), (5, 3, 2), (2, 1, 1), (1, 2, 0)])
def test_pools_agree_with_torch(kind: str, window: tuple[int, int, int]) -> None:
    for size in ((9, 12), (10, 11)):
        assert error(*both(chain((4, *size), Pool(kind, *window)), {})) < 1e-6


EXACT: list[tuple[tuple[Primitive, ...], int]] = [
    ((Flatten(),), 1),
    ((Shuffle(3),), 1),
    ((Slice(1, 4),), 1),
    *(((Concat(),), count) for count in (1, 2, 3, 4, 5, 6, 9, 10, 11, 26)),
    ((Add(),), 2),
    ((Mul(),), 2),
    ((Flatten(), Slice(3, 200)), 1),
    *(((Pad(*amounts),), 1) for amounts in ((1, 2, -1, -2, 3), (2, -1, 3, 1, -2), (0, -1, -2, -1, 0), (3, 0, 1, 2, 3))),
    ((Pad(),), 1),
]


@pytest.mark.parametrize("primitives, reads", EXACT, ids=str)
def test_what_only_moves_values_is_exact(primitives: tuple[Primitive, ...], reads: int) -> None:
    found, expected = both(chain((6, 6, 7), *primitives, reads=reads), {})
    assert np.array_equal(found, expected)


def test_a_network_of_nothing() -> None:
    found, expected = both(NetworkSpec((3, 5, 5), (Node("a", Zero()),)), {})
    assert np.array_equal(found, expected)


@dataclass(frozen=True)
class TwiceRead(LayerSpec):
    """A convolution, a batch-norm and a ReLU, each of which an addition reads too: nothing can be fused."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        conv = graph.add(f"{name}.conv", Conv(3, 3, (1, 1), bias=True), inputs[0])
        normed = graph.add(f"{name}.bn", BatchNorm(3), conv)
        act = graph.add(f"{name}.act", Activation("relu"), normed)
        return graph.add(f"{name}.sum", Add(), graph.add(f"{name}.add", Add(), act, normed), conv)


def test_what_others_read_is_not_fused(used_arrays: UsedArrays) -> None:
    network = NetworkSpec((3, 5, 5), (Node("a", TwiceRead()),))
    assert error(*both(network, used_arrays(network, 0))) < 1e-5


@pytest.mark.parametrize("first", [Add(), Mul(), BatchNorm(6), Conv(6, 6, (1, 1), groups=6)], ids=str)
@pytest.mark.parametrize("kind", ["relu", "relu6"])
def test_a_relu_is_done_by_the_node_before_it(used_arrays: UsedArrays, first: Primitive, kind: str) -> None:
    network = chain((6, 5, 5), first, Activation(kind), reads=1 + isinstance(first, Add | Mul))
    arrays = {name: array * 4 for name, array in used_arrays(network, 0).items()}
    assert error(*both(network, arrays)) < 1e-6


def test_a_linear_layer_without_a_bias(used_arrays: UsedArrays) -> None:
    network = chain((3, 2, 2), Flatten(), Linear(12, 5, bias=False), Activation("relu"))
    assert error(*both(network, used_arrays(network, 0))) < 1e-6


def test_equal_arguments_give_equal_bytes() -> None:
    network = networks()["cell"]
    arrays = random_arrays(network, 0)
    model = to_executorch(network, arrays)
    assert model == to_executorch(network, dict(reversed(arrays.items())))
    assert model != to_executorch(network, random_arrays(network, 1))


def test_arrays_lie_where_a_kernel_may_read_them(used_arrays: UsedArrays) -> None:
    network = chain((3, 2, 2), Flatten(), Linear(12, 7), Linear(7, 5), Linear(5, 3))
    arrays = used_arrays(network, 0)
    model = to_executorch(network, arrays)
    assert [model.index(array.tobytes()) % 16 for array in arrays.values()] == [0] * 6


def test_all_of_it_is_one_call_of_xnnpack() -> None:
    """What XNNPACK lacks would be refused when loading: there is no other kernel in the program to fall back to."""
    for network in networks().values():
        model = to_executorch(network, random_arrays(network, 0))
        assert model.count(b"XnnpackBackend") == 1 and b"aten::" not in model


def test_wrong_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(4, 3)),))
    arrays = random_arrays(network, 0)
    with pytest.raises(InputError, match="batch of at least 1, not 0"):
        to_executorch(network, arrays, batch=0)
    with pytest.raises(InputError, match=r"missing 1: stem\.bn\.bias"):
        to_executorch(network, {name: array for name, array in arrays.items() if name != "stem.bn.bias"})
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(TargetUnavailable, match=r"pip install 'hwnas\[executorch\]'"):
        to_executorch(network, arrays)
