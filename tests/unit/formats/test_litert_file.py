"""The LiteRT writer: the same numbers as torch, in operators that XNNPACK takes, with padding where it belongs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.core.errors import InputError, TargetUnavailable
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, Zero
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
from hwnas.formats.litert_file import to_litert
from hwnas.networks.catalogue import published as published_by_name
from hwnas.nn.build import build, load_arrays
from hwnas.spaces.proxyless import proxyless_space
from hwnas.testing.engines import networks

pytest.importorskip("ai_edge_litert")

Arrays = dict[str, np.ndarray]
UsedArrays = Callable[[NetworkSpec, int], Arrays]
SPACE = proxyless_space("proxyless-small", (3, 24, 24), 10)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


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


def interpreter(model: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    loaded = Interpreter(model_content=model, num_threads=1)
    loaded.allocate_tensors()
    return loaded


def run(model: bytes, images_BCHW: np.ndarray) -> np.ndarray:
    """What a file gives, channels first."""
    loaded = interpreter(model)
    (images,), (scores,) = loaded.get_input_details(), loaded.get_output_details()
    loaded.set_tensor(images["index"], np.ascontiguousarray(np.moveaxis(images_BCHW, 1, -1)))
    loaded.invoke()
    return np.moveaxis(loaded.get_tensor(scores["index"]), -1, 1)


def both(network: NetworkSpec, arrays: Arrays, batch: int = 2) -> tuple[bytes, np.ndarray, np.ndarray]:
    """The file, its output and torch's on the same images."""
    module = build(network).eval()
    load_arrays(module, arrays)
    images = torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = module(images).numpy()
    model = to_litert(network, arrays, batch=batch)
    return model, run(model, images.numpy()), expected


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the reference's standard deviation."""
    return float(np.abs(found - expected).max() / expected.std())


def read(model: bytes) -> Any:
    """The file as an object of the schema."""
    from ai_edge_litert import schema_py_generated as schema

    assert schema.Model.ModelBufferHasIdentifier(model, 0)
    return schema.ModelT.InitFromPackedBuf(model)


def kinds(model: bytes) -> list[str]:
    """The operators in order."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    file = read(model)
    return [names[file.operatorCodes[one.opcodeIndex].builtinCode] for one in file.subgraphs[0].operators]


def outside_xnnpack(model: bytes) -> bool:
    """Whether anything but one delegate stands between the images and the scores."""
    loaded = interpreter(model)
    operators = loaded._get_ops_details()
    delegates = [one for one in operators if one["op_name"] == "DELEGATE"]
    (images,), (scores,) = loaded.get_input_details(), loaded.get_output_details()
    whole = len(delegates) == 1 and images["index"] in delegates[0]["inputs"]
    return not (whole and list(delegates[0]["outputs"]) == [scores["index"]])


@pytest.mark.parametrize("seed", range(3))
def test_random_architectures_agree_with_torch(used_arrays: UsedArrays, seed: int) -> None:
    network = SPACE.decode(SPACE.choices.sample_spread(np.random.default_rng(seed)))
    model, found, expected = both(network, used_arrays(network, seed))
    assert error(found, expected) < 1e-4
    assert set(kinds(model)) - {"ADD"} == {
        *("CONV_2D", "DEPTHWISE_CONV_2D", "PAD", "MEAN", "RESHAPE", "FULLY_CONNECTED")
    }


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_agree_with_torch(cell_network: Callable[[str], NetworkSpec], used_arrays: UsedArrays, name: str) -> None:
    network = cell_network(name)
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-4
    touched = {
        "nasnet": {"PAD", "CONCATENATION", "AVERAGE_POOL_2D", "MAX_POOL_2D", "SLICE"},
        "darts": {"PADV2", "CONCATENATION", "MAX_POOL_2D", "SLICE"},
        "tree": {"SLICE", "PAD", "TRANSPOSE", "RESHAPE"},
    }
    assert touched[name] <= set(kinds(model))


@pytest.mark.parametrize("name", ["proxyless-mobile", "mobilenet-v3-small"])
def test_published_networks_agree_with_torch(name: str) -> None:
    network = published_by_name(name).network()
    _, found, expected = both(network, random_arrays(network, 0), batch=1)
    assert found.shape == (1, 1000) and error(found, expected) < 1e-4


@pytest.mark.parametrize("name", networks())
def test_xnnpack_takes_the_whole_network(used_arrays: UsedArrays, name: str) -> None:
    network = networks()[name]
    assert not outside_xnnpack(to_litert(network, used_arrays(network, 0)))


AT_MINUS_ONE = {
    "relu": 0.0,
    "relu6": 0.0,
    "sigmoid": 1 / (1 + np.e),
    "hard_sigmoid": 1 / 3,
    "hard_swish": -1 / 3,
    "swish": -1 / (1 + np.e),
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_a_padded_maximum_of_an_activation(kind: str) -> None:
    """A window of small or negative values only, which zeros beside it must not outdo."""
    images = np.full((1, 1, 4, 4), -1, np.float32)
    highest = run(to_litert(chain((1, 4, 4), Activation(kind), Pool("max", 3, 2, 1)), {}), images)
    np.testing.assert_allclose(highest, AT_MINUS_ONE[kind], rtol=1e-6)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_agree_with_torch(used_arrays: UsedArrays, kind: str) -> None:
    network = NetworkSpec((3, 7, 7), (Node("a", ConvBnAct(40, 3, activation=kind)), Node("c", Classifier(5))))
    arrays = used_arrays(network, 1)
    arrays["a.conv.weight"] *= 4  # both ends of every activation are reached
    model, found, expected = both(network, arrays)
    assert error(found, expected) < 1e-4 and not outside_xnnpack(model)


CONVOLUTIONS = [
    (Conv(8, 12, (3, 3), padding=(1, 1), groups=2), "CONV_2D", 6),
    (Conv(8, 12, (3, 3), padding=(1, 1), groups=4, stride=2, bias=True), "CONV_2D", 6),
    (Conv(8, 16, (5, 3), padding=(2, 1), groups=8, stride=2), "DEPTHWISE_CONV_2D", 1),
    (Conv(8, 8, (3, 3), padding=(2, 2), groups=8, dilation=2), "DEPTHWISE_CONV_2D", 2),
    (Conv(8, 6, (3, 5), padding=(1, 4), dilation=2), "CONV_2D", 1),
    (Conv(8, 6, (1, 1), stride=2, bias=True), "CONV_2D", 1),
    (Conv(8, 6, (4, 4), padding=(1, 1), stride=3), "CONV_2D", 1),
]


@pytest.mark.parametrize("conv, kind, version", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("size", [(9, 12), (10, 11)])
def test_convolutions_agree_with_torch(
    used_arrays: UsedArrays, conv: Conv, kind: str, version: int, size: Shape
) -> None:
    network = chain((8, *size), conv)
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-5 and not outside_xnnpack(model)
    assert kinds(model)[-1] == kind
    assert read(model).operatorCodes[-1].version == version


@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize("window", [(3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 2, 0), (5, 3, 2), (2, 1, 1), (1, 2, 0)])
def test_pools_agree_with_torch(kind: str, window: tuple[int, int, int]) -> None:
    for size in ((9, 12), (10, 11)):
        _, found, expected = both(chain((4, *size), Pool(kind, *window)), {})
        assert error(found, expected) < 1e-6


def test_a_padded_maximum_is_of_the_image_and_a_padded_average_does_not_count_the_padding() -> None:
    image = -np.arange(1.0, 17.0, dtype=np.float32).reshape(1, 1, 4, 4)
    highest = run(to_litert(chain((1, 4, 4), Pool("max", 3, 2, 1)), {}), image)
    assert highest.tolist() == [[[[-1, -2], [-5, -6]]]]
    average = run(to_litert(chain((1, 4, 4), Pool("avg", 3, 2, 1)), {}), image)
    assert average.tolist() == [[[[-3.5, -5], [-9.5, -11]]]]


def test_a_maximum_of_what_is_never_negative_stays_in_xnnpack() -> None:
    after_relu, after_nothing = (
        to_litert(chain((4, 8, 8), *before, Pool("max", 3, 2, 1)), {}) for before in ((Activation("relu"),), ())
    )
    assert kinds(after_relu) == ["RELU", "PAD", "MAX_POOL_2D"] and not outside_xnnpack(after_relu)
    assert kinds(after_nothing) == ["PADV2", "MAX_POOL_2D"] and outside_xnnpack(after_nothing)


def test_padding_is_the_operators_own_where_it_lies_as_in_torch(used_arrays: UsedArrays) -> None:
    """Of 8 pixels, stride 2 and a window of 3 need one more before; "same" puts it behind. Of 9, one on each side."""
    conv = Conv(2, 2, (3, 3), stride=2, padding=(1, 1))
    padded, same, valid = (
        to_litert(network, used_arrays(network, 0))
        for network in (chain((2, 8, 8), conv), chain((2, 9, 9), conv), chain((2, 9, 9), Conv(2, 2, (3, 3))))
    )
    assert (kinds(padded), kinds(same), kinds(valid)) == (["PAD", "CONV_2D"], ["CONV_2D"], ["CONV_2D"])
    ways = [read(model).subgraphs[0].operators[-1].builtinOptions.padding for model in (padded, same, valid)]
    assert ways == [1, 0, 1]  # valid, same, valid
    file = read(padded)
    amounts = file.subgraphs[0].tensors[file.subgraphs[0].operators[0].inputs[1]]
    content = np.asarray(file.buffers[amounts.buffer].data).view("<i4")
    assert content.tolist() == [0, 0, 1, 0, 1, 0, 0, 0]  # before and after, of batch, height, width, channels


EXACT: list[tuple[tuple[Primitive, ...], int]] = [
    ((Flatten(),), 1),
    ((Shuffle(3),), 1),
    ((Slice(1, 4),), 1),
    ((Concat(),), 3),
    ((Add(),), 2),
    ((Mul(),), 2),
    ((Flatten(), Slice(3, 200)), 1),
    *(((Pad(*amounts),), 1) for amounts in ((1, 2, -1, -2, 3), (2, -1, 3, 1, -2), (0, -1, -2, -1, 0), (3, 0, 1, 2, 3))),
    ((Pad(),), 1),
]


@pytest.mark.parametrize("primitives, reads", EXACT, ids=str)
def test_what_only_moves_values_is_exact(primitives: tuple[Primitive, ...], reads: int) -> None:
    model, found, expected = both(chain((6, 6, 7), *primitives, reads=reads), {})
    assert np.array_equal(found, expected) and not outside_xnnpack(model)


def test_a_shuffle_says_the_sizes_on_its_way() -> None:
    file = read(to_litert(chain((6, 4, 5), Shuffle(3)), {}, batch=2)).subgraphs[0]
    sizes = [file.tensors[one.outputs[0]].shape.tolist() for one in file.operators]
    assert sizes == [[40, 3, 2], [40, 2, 3], [2, 4, 5, 6]]


def test_equal_constants_are_one() -> None:
    grow, more = Pad(top=1), Pad(top=2)
    constants = [len(read(to_litert(chain((2, 4, 4), *pads), {})).buffers) - 1 for pads in ((grow, grow), (grow, more))]
    assert constants == [1, 2]


def test_a_network_of_nothing() -> None:
    _, found, expected = both(NetworkSpec((3, 5, 5), (Node("a", Zero()),)), {})
    assert np.array_equal(found, expected)
    assert kinds(to_litert(chain((3, 5, 5), Pad()), {})) == ["PAD"]


def test_names_shapes_and_fused_activations() -> None:
    network = NetworkSpec((3, 8, 6), (Node("stem", ConvBnAct(4, 3)), Node("classifier", Classifier(7))))
    model = to_litert(network, random_arrays(network, 0), batch=3)
    assert kinds(model) == ["CONV_2D", "MEAN", "RESHAPE", "FULLY_CONNECTED"]
    loaded = interpreter(model)
    (images,), (scores,) = loaded.get_input_details(), loaded.get_output_details()
    assert (images["name"], images["shape"].tolist(), images["dtype"]) == ("images", [3, 8, 6, 3], np.float32)
    assert (scores["name"], scores["shape"].tolist(), scores["dtype"]) == ("scores", [3, 7], np.float32)
    assert loaded.get_signature_list() == {"serving_default": {"inputs": ["images"], "outputs": ["scores"]}}
    file = read(model)
    operators, tensors = file.subgraphs[0].operators, file.subgraphs[0].tensors
    assert [tensors[one.outputs[0]].name.decode() for one in operators] == [
        *("stem.act", "classifier.pool", "classifier.flatten", "scores")
    ]
    assert operators[0].builtinOptions.fusedActivationFunction == 3  # ReLU6


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
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-5
    assert kinds(model) == ["CONV_2D", "MUL", "ADD", "RELU", "ADD", "ADD"]


@pytest.mark.parametrize("first", [Add(), Mul(), BatchNorm(6), Conv(6, 6, (1, 1), groups=6)], ids=str)
@pytest.mark.parametrize("kind", ["relu", "relu6"])
def test_a_relu_is_done_by_the_operator_before_it(used_arrays: UsedArrays, first: Primitive, kind: str) -> None:
    network = chain((6, 5, 5), first, Activation(kind), reads=1 + isinstance(first, Add | Mul))
    arrays = {name: array * 4 for name, array in used_arrays(network, 0).items()}
    model, found, expected = both(network, arrays)
    assert error(found, expected) < 1e-6
    assert kinds(model)[-1] == ("DEPTHWISE_CONV_2D" if isinstance(first, Conv) else kinds(model)[-1]) != kind.upper()
    assert read(model).subgraphs[0].operators[-1].builtinOptions.fusedActivationFunction in (1, 3)


def test_a_linear_layer_without_a_bias(used_arrays: UsedArrays) -> None:
    network = chain((3, 2, 2), Flatten(), Linear(12, 5, bias=False), Activation("relu"))
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-6 and kinds(model) == ["TRANSPOSE", "RESHAPE", "FULLY_CONNECTED"]


def test_squeeze_excite_agrees_with_torch(used_arrays: UsedArrays) -> None:
    nodes = (Node("a", MBConv(8, 3, 4, se_channels=4, activation="hard_swish")), Node("c", Classifier(5)))
    network = NetworkSpec((8, 6, 6), nodes)
    model, found, expected = both(network, used_arrays(network, 1))
    assert error(found, expected) < 1e-4 and not outside_xnnpack(model)


def test_equal_arguments_give_equal_bytes() -> None:
    network = SPACE.decode(SPACE.choices.sample(np.random.default_rng(0)))
    arrays = random_arrays(network, 0)
    model = to_litert(network, arrays)
    assert model == to_litert(network, dict(reversed(arrays.items())))
    assert model != to_litert(network, random_arrays(network, 1))


def test_arrays_lie_where_a_kernel_may_read_them() -> None:
    network = networks()["cell"]
    model = to_litert(network, random_arrays(network, 0))
    contents = [bytes(buffer.data) for buffer in read(model).buffers if buffer.data is not None]
    assert len(contents) > 20
    for content in contents:
        places = [place for place in range(0, len(model), 16) if model.startswith(content, place)]
        assert places, f"{len(content)} bytes stand at no multiple of 16"


def test_wrong_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(4, 3)),))
    arrays = random_arrays(network, 0)
    with pytest.raises(InputError, match="batch of at least 1, not 0"):
        to_litert(network, arrays, batch=0)
    with pytest.raises(InputError, match=r"missing 1: stem\.bn\.bias"):
        to_litert(network, {name: array for name, array in arrays.items() if name != "stem.bn.bias"})
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(TargetUnavailable, match=r"pip install 'hwnas\[litert\]'"):
        to_litert(network, arrays)
