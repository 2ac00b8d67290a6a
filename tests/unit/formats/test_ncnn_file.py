"""The ncnn writer: lines by hand, bytes by hand, and the same numbers as torch wherever ncnn is installed."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from hwnas.core.errors import InputError, TargetUnavailable
from hwnas.core.layers import BnAct, Classifier, ConvBnAct, LayerSpec, MBConv, ShuffleUnit, Zero
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import (
    ACTIVATIONS,
    Activation,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
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
from hwnas.formats.ncnn_file import BIN, PARAM, to_ncnn
from hwnas.formats.ncnn_reading import read_ncnn
from hwnas.hardware.engines.ncnn import NcnnEngine
from hwnas.nn.build import build, load_arrays
from hwnas.spaces.proxyless import proxyless_space

Networks = Callable[[str], NetworkSpec]
UsedArrays = Callable[[NetworkSpec, int], dict[str, np.ndarray]]
SPACE = proxyless_space("proxyless-small", (3, 24, 24), 10)


@dataclass(frozen=True)
class Steps(LayerSpec):
    """Operations in order: (name, primitive, what it reads, "" for the value before); nobody reads one named "dead"."""

    steps: tuple[tuple[str, Primitive, str], ...]

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        value = inputs[0]
        for step, primitive, reads in self.steps:
            read = [inputs[0] if one == "in" else one for one in reads.split()] or [value]
            written = graph.add(step, primitive, *read)
            value = value if step.startswith("dead") else written
        return value


def steps(shape: Shape, *rows: tuple[str, Primitive, str]) -> NetworkSpec:
    return NetworkSpec(shape, (Node("x", Steps(rows)),))


def unpacked(model: bytes) -> tuple[list[str], bytes]:
    with zipfile.ZipFile(io.BytesIO(model)) as packed:
        return packed.read(PARAM).decode().splitlines(), packed.read(BIN)


def lines(network: NetworkSpec) -> list[str]:
    return unpacked(to_ncnn(network, random_arrays(network, 0)))[0][2:]


def error(network: NetworkSpec, arrays: dict[str, np.ndarray], count: int = 2) -> float:
    """Largest difference from torch on the same images, over the deviation of torch's scores."""
    try:
        engine = NcnnEngine()
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    module = build(network).eval()
    load_arrays(module, arrays)
    images = torch.randn(count, *network.input_shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = module(images).numpy()
    found = engine.predict(to_ncnn(network, arrays), images.numpy())
    assert found.shape == expected.shape and found.dtype == np.float32
    return float(np.abs(found - expected).max() / expected.std())


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_a_small_network_by_hand() -> None:
    nodes = (Node("stem", ConvBnAct(4, 3, 2)), Node("block", MBConv(4, 5, 2)), Node("classifier", Classifier(7)))
    network = NetworkSpec((3, 8, 10), nodes)
    text, weights = unpacked(to_ncnn(network, random_arrays(network, 0)))
    assert text == [
        "7767517",
        "10 11",
        "Input images 0 1 images 0=10 1=8 2=3",
        "Convolution stem.conv 1 1 images stem.act 0=4 1=3 11=3 2=1 3=2 4=1 14=1 5=1 6=108 9=3 -23310=2,0.0,6.0",
        "Split stem.act.split 1 2 stem.act stem.act.0 stem.act.1",
        "Convolution block.expand.conv 1 1 stem.act.0 block.expand.act "
        "0=8 1=1 11=1 2=1 3=1 4=0 14=0 5=1 6=32 9=3 -23310=2,0.0,6.0",
        "ConvolutionDepthWise block.depthwise.conv 1 1 block.expand.act block.depthwise.act "
        "0=8 1=5 11=5 2=1 3=1 4=2 14=2 5=1 6=200 7=8 9=3 -23310=2,0.0,6.0",
        "Convolution block.project.conv 1 1 block.depthwise.act block.project.bn "
        "0=4 1=1 11=1 2=1 3=1 4=0 14=0 5=1 6=32",
        "BinaryOp block.add 2 1 block.project.bn stem.act.1 block.add 0=0",
        "Pooling classifier.pool 1 1 block.add classifier.pool 0=1 4=1",
        "Flatten classifier.flatten 1 1 classifier.pool classifier.flatten",
        "InnerProduct classifier.linear 1 1 classifier.flatten scores 0=7 1=1 2=28",
    ]
    assert len(weights) == 4 * (5 + 108 + 4 + 32 + 8 + 200 + 8 + 32 + 4 + 28 + 7)  # five flags, weights and biases


def test_weights_by_hand() -> None:
    """A flag of zeros before a weight, none before a bias or a batch-norm; torch's order."""
    network = steps(
        (1, 1, 1), ("c", Conv(1, 2, (1, 1), bias=True), "in"), ("d", Add(), "c c"), ("n", BatchNorm(2), "d")
    )
    arrays = {"c.weight": [[[[1]]], [[[2]]]], "c.bias": [3, 4]}
    arrays |= {"n.weight": [5, 6], "n.bias": [7, 8], "n.running_mean": [9, 10], "n.running_var": [11, 12]}
    weights = unpacked(to_ncnn(network, {name: np.float32(value) for name, value in arrays.items()}))[1]
    assert np.frombuffer(weights, "<f4").tolist() == [0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 7, 8]


def test_every_primitive_by_hand() -> None:
    network = steps(
        (4, 6, 8),
        ("s", Slice(1, 3), "in"),
        ("j", Concat(), "in s"),
        ("f", Shuffle(3), "j"),
        ("m", Pool("max", 3, 2, 1), "f"),
        ("a", Pool("avg", 2, 1), "m"),
        ("p", Pad(2, 1, -1, -2, 3), "a"),
        ("c", Pad(0, -1, 0, 0, -1), "p"),
        ("n", BatchNorm(8, 1e-3), "c"),
        ("w", Activation("swish"), "n"),
        ("g", Mul(), "n w"),
        ("v", Flatten(), "g"),
        ("l", Linear(24, 2, bias=False), "v"),
    )
    assert lines(network)[1:] == [
        "Split images.split 1 2 images images.0 images.1",
        "Crop s 1 1 images.0 s -23309=1,1 -23310=1,3 -23311=1,0",
        "Concat j 2 1 images.1 s j 0=0",
        "ShuffleChannel f 1 1 j f 0=3",
        "Pooling m 1 1 f m 0=0 1=3 2=2 3=1 5=1 6=0",
        "Pooling a 1 1 m a 0=1 1=2 2=1 3=0 5=1 6=0",
        "Crop p.crop 1 1 a p.crop -23309=2,0,2 -23310=2,1,3 -23311=2,1,2",
        "Padding p 1 1 p.crop p 0=1 1=0 2=0 3=3 8=2",
        "Crop c 1 1 p c -23309=2,1,0 -23310=2,2,3 -23311=2,1,2",
        "BatchNorm n 1 1 c n 0=8 1=1.00000000e-03",
        "Split n.split 1 2 n n.0 n.1",
        "Swish w 1 1 n.0 w",
        "BinaryOp g 2 1 n.1 w g 0=2",
        "Flatten v 1 1 g v",
        "InnerProduct l 1 1 v scores 0=2 1=0 2=48",
    ]


def test_a_pooled_map_is_a_vector_as_long_as_it_can_be() -> None:
    """Squeeze-and-excitation is two inner products; what needs a map gets one."""
    network = steps(
        (4, 3, 3),
        ("p", GlobalPool(), "in"),
        ("r", Conv(4, 2, (1, 1), bias=True), "p"),
        ("a", Activation("relu"), "r"),
        ("e", Conv(2, 4, (1, 1)), "a"),
        ("h", Activation("hard_sigmoid"), "e"),
        ("m", Mul(), "in h"),
        ("q", GlobalPool(), "m"),
        ("g", Conv(4, 4, (1, 1), groups=2), "q"),
        ("z", GlobalPool(), "g"),
    )
    assert lines(network)[2:] == [
        "Pooling p 1 1 images.0 p 0=1 4=1",
        "InnerProduct r 1 1 p a 0=2 1=1 2=8 9=1",
        "InnerProduct e 1 1 a e 0=4 1=0 2=8",
        "HardSigmoid h 1 1 e h 0=1.66666667e-01 1=0.5",
        "BinaryOp m 2 1 images.1 h m 0=2",
        "Pooling q 1 1 m q 0=1 4=1",
        "Reshape q.map 1 1 q q.map 0=1 1=1 2=4",
        "ConvolutionDepthWise g 1 1 q.map g 0=4 1=1 11=1 2=1 3=1 4=0 14=0 5=0 6=8 7=2",
        "Pooling z 1 1 g z.vector 0=1 4=1",
        "Reshape z.map 1 1 z.vector scores 0=1 1=1 2=4",
    ]


def test_a_network_of_nothing_and_an_output_that_is_read() -> None:
    assert lines(NetworkSpec((3, 5, 5), (Node("b", Zero()),)))[1:] == ["Noop identity 1 1 images scores"]
    network = steps((3, 5, 5), ("a", Activation("relu"), "in"), ("dead", Activation("sigmoid"), "a"))
    assert lines(network)[1:] == [
        "ReLU a 1 1 images a",
        "Split a.split 1 2 a a.0 scores",
        "Sigmoid dead 1 1 a.0 dead",
    ]
    assert error(network, {}) == 0


def test_equal_arguments_give_equal_bytes() -> None:
    network = SPACE.decode(SPACE.choices.sample(np.random.default_rng(0)))
    arrays = random_arrays(network, 0)
    model = to_ncnn(network, arrays)
    assert model == to_ncnn(network, dict(reversed(arrays.items())))
    assert model != to_ncnn(network, random_arrays(network, 1))
    with zipfile.ZipFile(io.BytesIO(model)) as packed:
        told = [(one.filename, one.date_time, one.compress_type, one.create_system) for one in packed.infolist()]
    assert told == [(name, (1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED, 3) for name in (PARAM, BIN)]


@pytest.mark.parametrize("seed", range(3))
def test_random_architectures_agree_with_torch(used_arrays: UsedArrays, seed: int) -> None:
    network = SPACE.decode(SPACE.choices.sample_spread(np.random.default_rng(seed)))
    assert error(network, used_arrays(network, seed)) < 1e-4


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_agree_with_torch(cell_network: Networks, used_arrays: UsedArrays, name: str) -> None:
    network = cell_network(name)
    assert error(network, used_arrays(network, 0)) < 1e-4


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_agree_with_torch(used_arrays: UsedArrays, kind: str) -> None:
    """Fused, alone on a map, and alone on a vector."""
    rows = (("c", Conv(3, 40, (3, 3)), "in"), ("a", Activation(kind), "c"), ("b", Activation(kind), "a"))
    network = steps((3, 7, 7), *rows, ("p", GlobalPool(), "b"), ("g", Activation(kind), "p"), ("m", Mul(), "b g"))
    arrays = used_arrays(network, 1)
    arrays["c.weight"] *= 4  # both ends of every activation are reached
    assert error(network, arrays) < 1e-5


@pytest.mark.parametrize("shape", [(16, 16, 16), (4, 4, 4), (8, 1, 8), (8, 8, 1), (5, 3, 5), (1, 4, 4), (16, 1, 1)])
def test_gates_multiply_channels_also_where_sizes_are_alike(shape: Shape) -> None:
    """A vector of as many values as a map is wide must not be taken for a row."""
    assert error(steps(shape, ("p", GlobalPool(), "in"), ("m", Mul(), "in p")), {}) < 1e-5
    assert (
        error(steps(shape, ("p", GlobalPool(), "in"), ("j", Concat(), "p p"), ("s", Slice(0, shape[0]), "j")), {})
        < 1e-5
    )


@pytest.mark.parametrize("groups", [1, 2, 4, 16])
@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [((3, 3), 1, 1), ((5, 1), 2, 1), ((3, 3), 1, 2), ((7, 7), 1, 1)]
)
def test_convolutions_agree_with_torch(
    used_arrays: UsedArrays, groups: int, size: tuple[int, int], stride: int, dilation: int
) -> None:
    """Packed and plain layouts: 16 and 6 channels are multiples and no multiples of what ncnn packs."""
    padding = (dilation * (size[0] // 2), dilation * (size[1] // 2))
    conv = Conv(16, 16, size, stride, padding, dilation, groups, bias=True)
    network = steps((16, 13, 11), ("c", conv, "in"), ("s", Slice(3, 9), "c"), ("e", Conv(6, 6, (1, 1)), "s"))
    assert error(network, used_arrays(network, 1)) < 1e-4


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 2, 0), (5, 3, 2), (2, 1, 1)]
)
def test_pools_agree_with_torch(kind: str, size: int, stride: int, padding: int) -> None:
    """Averages count no padding; windows that do not come out even are left out."""
    for channels in (5, 16):
        assert error(steps((channels, 7, 10), ("p", Pool(kind, size, stride, padding), "in")), {}) < 1e-5


@pytest.mark.parametrize(
    "pad", [Pad(1, 2, -1, -2, 3), Pad(2, -1, 3, 1, -2), Pad(0, -1, -2, -1, 0), Pad(3, 0, 1, 2, 3), Pad()]
)
def test_padding_and_cropping(pad: Pad) -> None:
    assert error(steps((16, 6, 7), ("p", pad, "in")), {}) == 0
    assert error(steps((16, 6, 7), ("g", GlobalPool(), "in"), ("p", Pad(pad.channels, 1, 0, 2), "g")), {}) < 1e-5


def test_shuffling_and_values_that_are_read_twice(used_arrays: UsedArrays) -> None:
    network = NetworkSpec((16, 6, 6), (Node("a", ShuffleUnit(16)), Node("b", ShuffleUnit(24, stride=2))))
    assert error(network, used_arrays(network, 1)) < 1e-5
    assert error(steps((6, 4, 4), ("s", Shuffle(3), "in"), ("t", Add(), "s s"), ("m", Mul(), "t t")), {}) == 0


def test_published_networks_agree_with_torch(published: Networks) -> None:
    network = published("mobilenet-v2")
    assert error(network, random_arrays(network, 0), count=1) < 1e-4


def test_what_is_written_can_be_read(cell_network: Networks) -> None:
    for network in (SPACE.decode(SPACE.choices.sample(np.random.default_rng(1))), cell_network("tree")):
        model = to_ncnn(network, random_arrays(network, 0))
        text, weights = unpacked(model)
        found = read_ncnn(model)
        assert (found.param.decode().splitlines(), found.weights) == (text, weights)
        assert (found.input_shape, found.output_shape) == (network.input_shape, (10,))


def test_wrong_arguments() -> None:
    network = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(4, 3)),))
    arrays = random_arrays(network, 0)
    del arrays["stem.bn.bias"]
    with pytest.raises(InputError, match=r"missing 1: stem\.bn\.bias"):
        to_ncnn(network, arrays)


@pytest.mark.parametrize("name", ["two words", "tab\tbed", "", "x" * 256, "null\0", "images"])
def test_names_that_cannot_stand_in_a_text_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="rename a node"):
        to_ncnn(steps((3, 8, 8), (name, Activation("relu"), "in"), ("b", Activation("relu"), "")), {})


def test_a_name_that_clashes_with_a_copy_is_refused() -> None:
    network = NetworkSpec(
        (3, 8, 8), (Node("a", BnAct()), Node("b", Steps((("a.act.0", Add(), "in in"), ("z", Activation("relu"), "")))))
    )
    with pytest.raises(InputError, match=r"'a\.act\.0'"):
        to_ncnn(network, random_arrays(network, 0))
