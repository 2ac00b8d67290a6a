"""Torch modules from specs: names, numbers, memory, random state."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.layers import ConvBnAct, LayerSpec, MBConv, Zero
from hwnas.core.network import NetworkSpec, Node, located_layers
from hwnas.core.primitives import ACTIVATIONS, Activation, Add, BatchNorm, GraphWriter
from hwnas.formats.arrays import expected_arrays
from hwnas.nn.build import BuiltNetwork, arrays_of, build, build_layer, initialise, load_arrays
from hwnas.spaces.proxyless import proxyless_space

Networks = Callable[[str], NetworkSpec]
UsedArrays = Callable[[NetworkSpec, int], dict[str, np.ndarray]]
SPACE = proxyless_space("proxyless-small", (3, 24, 24), 10)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def random_network(seed: int) -> NetworkSpec:
    return SPACE.decode(SPACE.choices.sample_spread(np.random.default_rng(seed)))


@pytest.mark.parametrize("seed", range(3))
def test_state_is_exactly_the_arrays(seed: int) -> None:
    network = random_network(seed)
    module = build(network)
    state = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    assert state == expected_arrays(network)
    assert sum(parameter.numel() for parameter in module.parameters()) == count(network).params


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_are_built_with_every_array(cell_network: Networks, name: str) -> None:
    network = cell_network(name)
    module = build(network).eval()
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == expected_arrays(network)
    assert sum(parameter.numel() for parameter in module.parameters()) == count(network).params
    assert module(torch.rand(2, *network.input_shape)).shape == (2, 10)


def test_an_mbconv_does_what_the_paper_says(used_arrays: UsedArrays) -> None:
    network = NetworkSpec((4, 9, 9), (Node("b", MBConv(4, 5, 3, se_channels=2)),))
    arrays = {name: torch.from_numpy(value) for name, value in used_arrays(network, 1).items()}

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance = arrays[f"b.{name}.running_mean"], arrays[f"b.{name}.running_var"]
        weight, bias = arrays[f"b.{name}.weight"], arrays[f"b.{name}.bias"]
        return F.batch_norm(x, mean, variance, weight, bias, eps=1e-5)

    x = torch.randn(2, 4, 9, 9)
    y = norm(F.conv2d(x, arrays["b.expand.conv.weight"]), "expand.bn").clamp(0, 6)
    y = norm(F.conv2d(y, arrays["b.depthwise.conv.weight"], padding=2, groups=12), "depthwise.bn").clamp(0, 6)
    gate = y.mean((2, 3), keepdim=True)
    gate = F.conv2d(gate, arrays["b.se.reduce.weight"], arrays["b.se.reduce.bias"]).relu()
    gate = F.conv2d(gate, arrays["b.se.expand.weight"], arrays["b.se.expand.bias"]).sigmoid()
    expected = norm(F.conv2d(y * gate, arrays["b.project.conv.weight"]), "project.bn") + x
    module = build(network).eval()
    load_arrays(module, {name: value.numpy() for name, value in arrays.items()})
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_by_formula(kind: str) -> None:
    formulas: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "relu": lambda x: x.clamp(min=0),
        "relu6": lambda x: x.clamp(0, 6),
        "sigmoid": lambda x: 1 / (1 + (-x).exp()),
        "hard_sigmoid": lambda x: (x + 3).clamp(0, 6) / 6,
        "hard_swish": lambda x: x * (x + 3).clamp(0, 6) / 6,
        "swish": lambda x: x / (1 + (-x).exp()),
    }
    writer = GraphWriter((1, 1, 81))
    module = BuiltNetwork(writer.graph(writer.add("a", Activation(kind), "input")))
    x = torch.linspace(-8, 8, 81).reshape(1, 1, 1, 81)
    torch.testing.assert_close(module(x), formulas[kind](x))


def test_a_layer_alone_has_relative_names_and_the_same_value(cell_network: Networks, used_arrays: UsedArrays) -> None:
    network = random_network(1)
    node = next(located for located in located_layers(network) if isinstance(located.layer, MBConv))
    layer = build_layer(node.layer, node.input_shapes)
    assert "depthwise.conv.weight" in layer.state_dict()
    whole = build(network)
    own = {
        name.removeprefix(f"{node.name}."): v for name, v in whole.state_dict().items() if name.startswith(node.name)
    }
    layer.load_state_dict(own)
    alone = build(NetworkSpec(node.input_shapes[0], (Node("x", node.layer),)))
    alone.load_state_dict({f"x.{name}": value for name, value in own.items()})
    x = torch.randn(2, *node.input_shapes[0])
    torch.testing.assert_close(layer.eval()(x), alone.eval()(x))


def test_a_layer_that_reads_two_values(cell_network: Networks) -> None:
    located = {layer.name: layer for layer in located_layers(cell_network("nasnet"))}["stage2.block0"]
    layer = build_layer(located.layer, located.input_shapes).eval()
    current, previous = (torch.randn(2, *shape) for shape in located.input_shapes)
    kept = previous.clone()
    assert tuple(layer(current, previous).shape) == (2, *located.output_shape)
    torch.testing.assert_close(previous, kept)
    with pytest.raises(InputError, match="reads 2 values, not 1"):
        layer(current)


def test_zero_is_its_input() -> None:
    x = torch.randn(1, 3, 4, 4)
    module = build_layer(Zero(), ((3, 4, 4),))
    assert module(x) is x and not module.state_dict()


@dataclass(frozen=True)
class TwiceRead(LayerSpec):
    """A batch-norm whose value a ReLU and an addition read."""

    def lower(self, graph: GraphWriter, name: str, inputs: tuple[str, ...]) -> str:
        value = graph.add(f"{name}.bn", BatchNorm(2), inputs[0])
        return graph.add(f"{name}.add", Add(), graph.add(f"{name}.act", Activation("relu"), value), value)


def test_a_value_that_somebody_else_reads_is_not_overwritten() -> None:
    module = build_layer(TwiceRead(), ((2, 3, 3),)).eval()
    x = torch.randn(4, 2, 3, 3, requires_grad=True)
    normed = x / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(module(x), normed.relu() + normed)
    module(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.where(x > 0, 2.0, 1.0) / (1 + 1e-5) ** 0.5)


def test_the_image_is_never_overwritten_and_gradients_are_right_in_double_precision() -> None:
    module = build(NetworkSpec((2, 5, 5), (Node("a", MBConv(2, 3, 2, activation="relu")),))).double().train()
    x = torch.randn(3, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    kept = x.detach().clone()
    assert torch.autograd.gradcheck(module, x, atol=1e-4)
    assert torch.equal(x.detach(), kept)


@pytest.mark.parametrize("name", ["nasnet", "darts", "tree"])
def test_cells_train(cell_network: Networks, name: str) -> None:
    network = cell_network(name)
    module = build(network).train()
    before = arrays_of(module)
    module(torch.rand(4, *network.input_shape)).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
    after = arrays_of(module)
    assert {key for key in before if not np.array_equal(before[key], after[key])} == {
        key for key in before if "running" in key
    }


def test_running_statistics_move_as_torch_moves_them() -> None:
    module = build(NetworkSpec((3, 6, 6), (Node("a", ConvBnAct(5, 3)),))).train()
    theirs = nn.BatchNorm2d(5)
    for step in range(3):
        x = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        module(x)
        theirs(F.conv2d(x, module.state_dict()["a.conv.weight"], padding=1))
    torch.testing.assert_close(module.state_dict()["a.bn.running_mean"], theirs.running_mean)
    torch.testing.assert_close(module.state_dict()["a.bn.running_var"], theirs.running_var)


def test_a_plain_dictionary_loads_strictly() -> None:
    network = random_network(2)
    first, second = build(network), build(network)
    initialise(first, 9)
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    x = torch.rand(2, 3, 24, 24)
    assert torch.equal(first.eval()(x), second.eval()(x))
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        second.load_state_dict({**first.state_dict(), "stem.bn.num_batches_tracked": torch.tensor(1)})


def test_initial_weights_depend_on_the_seed_alone() -> None:
    network = random_network(3)
    state = torch.get_rng_state()
    first = arrays_of(build(network))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    module = build(network)
    second = arrays_of(module)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    initialise(module, 1)
    third = arrays_of(module)
    assert not any(np.array_equal(first[name], third[name]) for name in first if first[name].ndim > 1)


def test_initial_weights_have_the_right_spread() -> None:
    arrays = arrays_of(build(SPACE.decode(SPACE.uniform_architectures()["k7e6, depth 3"])))
    for name, array in arrays.items():
        if array.ndim == 4 and array.size > 1000:
            assert array.std() == pytest.approx(
                (2 / (array.shape[0] * array.shape[2] * array.shape[3])) ** 0.5, rel=0.15
            )
        elif array.ndim == 4:
            assert array.any()
        elif array.ndim == 2:
            assert array.std() == pytest.approx(0.01, rel=0.15)
        else:
            value = 1.0 if name.endswith(("bn.weight", "running_var")) else 0.0
            assert (array == value).all()


def test_initialise_resets_what_training_left() -> None:
    module = build(random_network(4)).train()
    fresh = arrays_of(module)
    module(torch.rand(4, 3, 24, 24))
    initialise(module, 0)
    again = arrays_of(module)
    assert all(np.array_equal(fresh[name], again[name]) for name in fresh)


def test_arrays_go_round(used_arrays: UsedArrays) -> None:
    network = random_network(5)
    arrays = used_arrays(network, 5)
    module = build(network).to(memory_format=torch.channels_last)
    load_arrays(module, arrays)
    back = arrays_of(module)
    assert back.keys() == arrays.keys()
    for name, array in back.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous
        assert np.array_equal(array, arrays[name])
    back["stem.conv.weight"][:] = 0
    assert arrays_of(module)["stem.conv.weight"].any()


def test_arrays_that_do_not_fit_change_nothing(used_arrays: UsedArrays) -> None:
    network = random_network(5)
    module = build(network)
    before = arrays_of(module)
    arrays = used_arrays(network, 5)
    del arrays["stem.bn.bias"]
    with pytest.raises(InputError, match=r"missing 1: stem\.bn\.bias"):
        load_arrays(module, arrays)
    with pytest.raises(InputError, match="left over 1: stem.bn.num_batches_tracked"):
        load_arrays(module, {**used_arrays(network, 5), "stem.bn.num_batches_tracked": np.zeros(())})
    with pytest.raises(InputError, match="of another shape 1: stem.conv.weight"):
        load_arrays(module, {**used_arrays(network, 5), "stem.conv.weight": np.zeros((1, 2))})
    after = arrays_of(module)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_deep_copy_stands_on_its_own() -> None:
    module = build(random_network(6)).eval()
    x = torch.rand(2, 3, 24, 24)
    before = module(x)
    other = copy.deepcopy(module)
    initialise(other, 5)
    assert torch.equal(module(x), before)
    assert not torch.equal(other(x), before)


def test_a_part_that_is_exchanged_is_the_one_that_runs() -> None:
    module = build(random_network(6)).eval()
    module.get_submodule("classifier").linear = nn.Linear(128, 3)
    assert module(torch.rand(2, 3, 24, 24)).shape == (2, 3)


def test_channels_last_and_meta() -> None:
    network = random_network(7)
    module = build(network).eval()
    x = torch.rand(2, 3, 24, 24)
    plain = module(x)
    last = module.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain)
    with torch.device("meta"):
        shadow = build(network)
        scores = shadow(torch.empty(2, 3, 24, 24))
    assert scores.is_meta and tuple(scores.shape) == (2, 10)
    assert all(value.is_meta for value in shadow.state_dict().values())
    assert all(value.is_meta for value in build(network).to("meta").state_dict().values())


def test_values_are_released_when_nobody_needs_them() -> None:
    seen: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    class Watch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            alive.append(sum(ref() is not None for ref in seen))
            y = x + 0
            seen.append(weakref.ref(y))
            return y

    nodes = (
        Node("a", ConvBnAct(2, 3)),
        Node("b", MBConv(2, 3, 2)),
        Node("c", ConvBnAct(2, 3)),
        Node("d", ConvBnAct(2, 3)),
    )
    module = build(NetworkSpec((2, 4, 4), nodes)).eval()
    for part in (module.a, module.b.project, module.c, module.d):
        part.bn = Watch()
    with torch.inference_mode():
        module(torch.rand(1, 2, 4, 4))
    # Before b's projection: a's value, which the residual still needs. After the addition: nothing.
    assert alive == [0, 1, 0, 0]


def test_node_names_that_torch_uses_itself() -> None:
    names = ("type", "forward", "half.type", "in", "weight")
    network = NetworkSpec((2, 4, 4), tuple(Node(name, ConvBnAct(2, 3)) for name in names))
    module = build(network)
    assert list(module.state_dict()) == list(expected_arrays(network))
    assert module.eval()(torch.rand(1, 2, 4, 4)).shape == (1, 2, 4, 4)
    for name in ("training", "a.training", "_steps", "__class__", "a b", "a..b", ""):
        with pytest.raises(InputError, match="cannot stand in a module"):
            build(NetworkSpec((2, 4, 4), (Node(name, ConvBnAct(2, 3)),)))


def test_a_node_inside_an_operation_is_refused() -> None:
    for order in ((0, 1), (1, 0)):
        nodes = [Node("a", ConvBnAct(2, 3)), Node("a.conv", ConvBnAct(2, 3))]
        with pytest.raises(InputError, match="rename its node"):
            build(NetworkSpec((2, 4, 4), tuple(nodes[index] for index in order)))
