"""The ONNX writer: the same numbers as torch and as torch's own exporter, in a file that is valid."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from hwnas.core.errors import InputError
from hwnas.core.layers import BnAct, Classifier, ConvBnAct, LayerSpec, MBConv, Zero
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import ACTIVATIONS, Activation, Add, BatchNorm, Conv, GraphWriter, Pad
from hwnas.formats.arrays import random_arrays
from hwnas.formats.onnx_file import to_onnx
from hwnas.nn.build import build, load_arrays
from hwnas.spaces.proxyless import proxyless_space

Networks = Callable[[str], NetworkSpec]
UsedArrays = Callable[[NetworkSpec, int], dict[str, np.ndarray]]
SPACE = proxyless_space("proxyless-small", (3, 24, 24), 10)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def run_onnx(model: bytes, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"images": images})
    return np.asarray(scores)


def checked(model: bytes) -> onnx.ModelProto:
    proto = onnx.load_from_string(model)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the reference's standard deviation."""
    return float(np.abs(found - expected).max() / expected.std())


def both(network: NetworkSpec, arrays: dict[str, np.ndarray], batch: int = 2) -> tuple[bytes, np.ndarray, np.ndarray]:
    """The file, its output and torch's on the same images."""
    module = build(network).eval()
    load_arrays(module, arrays)
    images = torch.randn(batch, *network.input_shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = module(images).numpy()
    model = to_onnx(network, arrays, batch=batch)
    checked(model)
    return model, run_onnx(model, images.numpy()), expected


@pytest.mark.parametrize("seed", range(6))
def test_random_architectures_agree_with_torch(used_arrays: UsedArrays, seed: int) -> None:
    network = SPACE.decode(SPACE.choices.sample_spread(np.random.default_rng(seed)))
    model, found, expected = both(network, used_arrays(network, seed))
    assert error(found, expected) < 1e-4
    assert {node.op_type for node in checked(model).graph.node} == {
        *("Conv", "Clip", "GlobalAveragePool", "Flatten", "Gemm"),
        *(["Add"] if any(operation.name.endswith("add") for operation in lower(network).operations) else []),
    }


@pytest.mark.parametrize("seed", range(2))
def test_random_architectures_agree_with_torchs_exporter(used_arrays: UsedArrays, seed: int) -> None:
    network = SPACE.decode(SPACE.choices.sample(np.random.default_rng(seed)))
    arrays = used_arrays(network, seed)
    _, found, _ = both(network, arrays, batch=1)
    module = build(network).eval()
    load_arrays(module, arrays)
    images = torch.randn(1, *network.input_shape, generator=torch.Generator().manual_seed(3))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {"input_names": ["images"], "output_names": ["scores"]}
        torch.onnx.export(module, (images,), file, dynamo=False, opset_version=17, **names)
    assert error(found, run_onnx(file.getvalue(), images.numpy())) < 1e-4


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_agree_with_torch(cell_network: Networks, used_arrays: UsedArrays, name: str) -> None:
    network = cell_network(name)
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-4
    kinds = {node.op_type for node in checked(model).graph.node}
    touched = {
        "nasnet": {"Pad", "Concat", "AveragePool", "MaxPool"},
        "darts": {"Pad", "Concat", "MaxPool"},
        "tree": {"Slice", "Pad", "Transpose", "Reshape"},
    }
    assert touched[name] <= kinds


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_agree_with_torch(used_arrays: UsedArrays, kind: str) -> None:
    network = NetworkSpec((3, 7, 7), (Node("a", ConvBnAct(40, 3, activation=kind)), Node("c", Classifier(5))))
    arrays = used_arrays(network, 1)
    arrays["a.conv.weight"] *= 4  # both ends of every activation are reached
    _, found, expected = both(network, arrays)
    assert error(found, expected) < 1e-4


def test_squeeze_excite_agrees_with_torch(used_arrays: UsedArrays) -> None:
    nodes = (Node("a", MBConv(8, 3, 4, se_channels=4, activation="hard_swish")), Node("c", Classifier(5)))
    network = NetworkSpec((8, 6, 6), nodes)
    _, found, expected = both(network, used_arrays(network, 1))
    assert error(found, expected) < 1e-4


def test_versions_names_and_shapes() -> None:
    network = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(4, 3, 2)), Node("classifier", Classifier(7))))
    proto = checked(to_onnx(network, random_arrays(network, 0), batch=3))
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)] and proto.ir_version == 8
    (images,), (scores,) = proto.graph.input, proto.graph.output
    sizes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in (images, scores)]
    assert (images.name, scores.name, sizes) == ("images", "scores", [[3, 3, 8, 8], [3, 7]])
    assert [(node.op_type, node.name, list(node.output)) for node in proto.graph.node] == [
        ("Conv", "stem.conv", ["stem.bn"]),
        ("Clip", "stem.act", ["stem.act"]),
        ("GlobalAveragePool", "classifier.pool", ["classifier.pool"]),
        ("Flatten", "classifier.flatten", ["classifier.flatten"]),
        ("Gemm", "classifier.linear", ["scores"]),
    ]


def test_equal_arguments_give_equal_bytes() -> None:
    network = SPACE.decode(SPACE.choices.sample(np.random.default_rng(0)))
    arrays = random_arrays(network, 0)
    model = to_onnx(network, arrays)
    assert model == to_onnx(network, dict(reversed(arrays.items())))
    assert model != to_onnx(network, random_arrays(network, 1))


@dataclass(frozen=True)
class TwiceRead(LayerSpec):
    """A convolution (with bias) that a batch-norm and an addition read: its batch-norm cannot be folded."""

    name: str = "layer"

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        value = graph.add(f"{name}.conv", Conv(3, 3, (1, 1), bias=True), inputs[0])
        normed = graph.add(f"{name}.bn", BatchNorm(3), value)
        return graph.add(f"{name}.add", Add(), graph.add(f"{name}.act", Activation("relu"), normed), value)


def test_a_convolution_with_another_reader_keeps_its_batch_norm(used_arrays: UsedArrays) -> None:
    network = NetworkSpec((3, 5, 5), (Node("a", TwiceRead()),))
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-5
    assert [node.op_type for node in checked(model).graph.node] == ["Conv", "BatchNormalization", "Relu", "Add"]


@dataclass(frozen=True)
class Biased(LayerSpec):
    """A convolution with a bias and a batch-norm behind it."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        value = graph.add(f"{name}.conv", Conv(3, 4, (3, 1), padding=(1, 0), bias=True), inputs[0])
        return graph.add(f"{name}.bn", BatchNorm(4), value)


def test_folding_takes_the_bias_along_and_kernels_need_not_be_square(used_arrays: UsedArrays) -> None:
    network = NetworkSpec((3, 5, 6), (Node("a", Biased()),))
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-5
    assert [node.op_type for node in checked(model).graph.node] == ["Conv"]


@dataclass(frozen=True)
class Shifted(LayerSpec):
    """A pad that grows one way, crops another, by different amounts."""

    pad: Pad

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        return graph.add(f"{name}.pad", self.pad, inputs[0])


@pytest.mark.parametrize("pad", [Pad(1, 2, -1, -2, 3), Pad(2, -1, 3, 1, -2), Pad(0, -1, -2, -1, 0), Pad(3, 0, 1, 2, 3)])
def test_padding_and_cropping(pad: Pad) -> None:
    network = NetworkSpec((2, 6, 7), (Node("a", Shifted(pad)),))
    _, found, expected = both(network, {})
    assert np.array_equal(found, expected)


def test_a_batch_norm_first_and_a_network_of_nothing(used_arrays: UsedArrays) -> None:
    network = NetworkSpec((3, 5, 5), (Node("a", BnAct()), Node("b", Zero())))
    model, found, expected = both(network, used_arrays(network, 0))
    assert error(found, expected) < 1e-5
    assert [node.op_type for node in checked(model).graph.node] == ["BatchNormalization", "Relu"]
    nothing = NetworkSpec((3, 5, 5), (Node("b", Zero()),))
    _, found, expected = both(nothing, {})
    assert np.array_equal(found, expected)


def test_published_networks_load(published: Networks) -> None:
    network = published("mobilenet-v2")
    model = to_onnx(network, random_arrays(network, 0))
    scores = run_onnx(model, np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32))
    assert scores.shape == (1, 1000) and 1e-3 < scores.std() < 1e4


def test_wrong_arguments() -> None:
    network = NetworkSpec((3, 8, 8), (Node("stem", ConvBnAct(4, 3)),))
    arrays = random_arrays(network, 0)
    with pytest.raises(InputError, match="batch of at least 1, not 0"):
        to_onnx(network, arrays, batch=0)
    del arrays["stem.bn.bias"]
    with pytest.raises(InputError, match=r"missing 1: stem\.bn\.bias"):
        to_onnx(network, arrays)


def test_tensor_names_that_clash_are_refused() -> None:
    nodes = (Node("a", ConvBnAct(3, 3)), Node("a.conv.weight", _Named()))
    network = NetworkSpec((3, 8, 8), (*nodes, Node("b", ConvBnAct(3, 3))))
    with pytest.raises(InputError, match=r"'a\.conv\.weight'"):
        to_onnx(network, random_arrays(network, 0))


@dataclass(frozen=True)
class _Named(LayerSpec):
    """An operation that bears the node's bare name."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        return graph.add(name, Activation("relu"), inputs[0])
