"""Torch modules from a NetworkSpec or from one layer, and the arrays that go in and out of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, assert_never, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwnas.core.errors import InputError
from hwnas.core.graphs import check_array_shapes, check_names, reader_counts, schedule
from hwnas.core.layers import LayerSpec
from hwnas.core.network import NetworkSpec, lower
from hwnas.core.primitives import (
    Activation,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    Graph,
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


def build(network: NetworkSpec) -> BuiltNetwork:
    """The network as a torch module; its state_dict keys are the names of its arrays.

    The weights are those of `initialise` with seed 0; torch's global random state is neither read nor moved. Under
    `with torch.device("meta")` the parameters have shapes and no storage.

    Raises:
        InputError: the layers do not fit together, or a name cannot be a module's.
    """
    module = BuiltNetwork(lower(network))
    initialise(module, 0)
    return module


def build_layer(layer: LayerSpec, input_shapes: tuple[Shape, ...]) -> BuiltNetwork:
    """One layer on its own; its state_dict keys lack the node's name ("expand.conv.weight").

    Args:
        layer: the layer.
        input_shapes: (channels, height, width) of each value that it reads; `forward` takes as many tensors.

    Raises:
        InputError: the layer cannot read these shapes.
    """
    writer = GraphWriter(input_shapes[0])
    names = ["input"]
    for index, shape in enumerate(input_shapes[1:], start=1):
        # A Graph has one image. Further inputs stand in it as values of the right shape that are never computed.
        channels, height, width = (size - first for size, first in zip(shape, input_shapes[0], strict=True))
        names.append(writer.add(f"input{index}", Pad(channels, bottom=height, right=width), "input"))
    graph = writer.graph(layer.lower(writer, "layer", tuple(names)))
    module = BuiltNetwork(graph, tuple(names), prefix="layer.")
    initialise(module, 0)
    return module


@final
class BuiltNetwork(nn.Module):
    """Runs a lowered Graph.

    Args:
        graph: what to run.
        inputs: the values that `forward` is given.
        prefix: left off the operations' names.
    """

    def __init__(self, graph: Graph, inputs: tuple[str, ...] = ("input",), prefix: str = "") -> None:
        super().__init__()
        check_names(graph)
        readers = reader_counts(graph)
        primitives = {operation.name: operation.primitive for operation in graph.operations}
        plan = schedule(graph, inputs)
        # Modules are looked up where they hang (30 ns), so that one that is exchanged or deep-copied is the one that
        # runs; a stored reference would go stale.
        steps: list[tuple[dict[str, Any] | None, Any, tuple[int, ...], int, tuple[int, ...]]] = []
        for step in plan.steps:
            operation = step.operation
            where = (step.reads, step.writes, step.frees)
            module = _module(operation.primitive)
            if module is not None:
                steps.append((*_hang(self, operation.name.removeprefix(prefix), module), *where))
                continue
            # ReLU may overwrite what a batch-norm wrote for it alone: autograd does not need that value.
            value = operation.inputs[0]
            in_place = readers[value] == 1 and isinstance(primitives.get(value), BatchNorm)
            steps.append((None, _function(operation.primitive, in_place), *where))
        self._steps = tuple(steps)
        self._inputs = len(inputs)
        self._spare = (None,) * (plan.slots - len(inputs))
        self._output = plan.output

    def forward(self, *values: Tensor) -> Tensor:
        """The graph's value, for example class scores (batch, classes) of images (batch, channels, height, width)."""
        if len(values) != self._inputs:
            raise InputError(f"this module reads {self._inputs} values, not {len(values)}")
        slots: list[Any] = [*values, *self._spare]
        for holder, run, reads, writes, frees in self._steps:
            call = run if holder is None else holder[run]
            slots[writes] = call(*[slots[slot] for slot in reads])
            for slot in frees:
                slots[slot] = None
        result: Tensor = slots[self._output]
        return result


@final
class BatchNorm2d(nn.BatchNorm2d):
    """Batch-norm whose count of batches is no part of its state: no `num_batches_tracked` among the arrays."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(channels, eps)
        self.register_buffer("num_batches_tracked", torch.tensor(0), persistent=False)

    # torch's own version adds the count to every plain dictionary that lacks it, and then refuses it as unexpected.
    _load_from_state_dict = nn.Module._load_from_state_dict


def initialise(module: nn.Module, seed: int) -> None:
    """Sets every weight anew: convolutions He-normal by fan-out, batch-norms 1 and 0, linear layers N(0, 0.01), bias 0.

    Args:
        module: what `build` or `build_layer` returned, or any module that holds such.
        seed: equal seeds give equal weights on every device; the global random state is not used.

    Source: He et al. 2015, eq. 14; the released ProxylessNAS code (`he_fout`, which counts a depthwise convolution's
        fan-out as kernel² × all channels).
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                fan_out = part.out_channels * part.kernel_size[0] * part.kernel_size[1]
                _draw(part.weight, (2.0 / fan_out) ** 0.5, generator)
            elif isinstance(part, nn.Linear):
                _draw(part.weight, 0.01, generator)
            elif isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()
                part.weight.fill_(1.0)
            else:
                continue
            if part.bias is not None:
                part.bias.zero_()


def arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Copies of a module's parameters and running statistics, float32, by name."""
    return {
        name: np.array(value.detach().to("cpu", torch.float32).contiguous().numpy())
        for name, value in module.state_dict().items()
    }


def load_arrays(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Copies arrays into a module, wherever it lies.

    Raises:
        InputError: arrays are missing, left over or of another shape; nothing is changed then.
    """
    state = module.state_dict()
    expected = {name: tuple(value.shape) for name, value in state.items()}
    check_array_shapes(expected, {name: tuple(array.shape) for name, array in arrays.items()})
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(torch.tensor(arrays[name]))


def _draw(weight: Tensor, deviation: float, generator: torch.Generator) -> None:
    if not weight.is_meta:
        weight.copy_(torch.empty(weight.shape, device="cpu").normal_(0.0, deviation, generator=generator))


def _hang(root: nn.Module, name: str, module: nn.Module) -> tuple[dict[str, Any], str]:
    """Hangs a module into the tree under a dotted name; returns where it hangs and under which key."""
    *path, leaf = name.split(".")
    holder = root
    for key in path:
        # Straight into _modules: add_module refuses names such as "type", which nn.Module has a method of.
        below = holder._modules.setdefault(key, nn.Module())
        if type(below) is not nn.Module:
            raise InputError(f"operation {name!r} would hang below another operation with arrays: rename its node")
        holder = below
    if leaf in holder._modules:
        raise InputError(f"operation {name!r} has operations below it: rename its node")
    holder._modules[leaf] = module
    return holder._modules, leaf


def _module(primitive: Primitive) -> nn.Module | None:
    """The module of a primitive with arrays, its weights not yet set; None for a primitive without."""
    # Made on "meta" first: elsewhere torch draws weights from the global random state, only to have them overwritten.
    match primitive:
        case Conv(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias):
            conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, groups, bias, device="meta")
            return conv.to_empty(device=torch.get_default_device())
        case Linear(in_features, out_features, bias):
            linear = nn.Linear(in_features, out_features, bias, device="meta")
            return linear.to_empty(device=torch.get_default_device())
        case BatchNorm(channels, eps):
            return BatchNorm2d(channels, eps)
        case _:
            return None


def _function(primitive: Primitive, in_place: bool) -> Callable[..., Tensor]:
    """What a primitive without arrays does. No closures: a deep copy would share them, with all that they hold."""
    match primitive:
        case Activation(kind):
            return partial(_IN_PLACE[kind], inplace=True) if in_place and kind in _IN_PLACE else _ACTIVATIONS[kind]
        case Pool("max", kernel, stride, padding):
            return partial(F.max_pool2d, kernel_size=kernel, stride=stride, padding=padding)
        case Pool(_, kernel, stride, padding):
            average = partial(F.avg_pool2d, kernel_size=kernel, stride=stride, padding=padding)
            return partial(average, count_include_pad=False)
        case GlobalPool():
            return partial(F.adaptive_avg_pool2d, output_size=1)
        case Flatten():
            return partial(torch.flatten, start_dim=1)
        case Add():
            return torch.add
        case Mul():
            return torch.mul
        case Concat():
            return _concat
        case Slice(start, stop):
            return partial(torch.narrow, dim=1, start=start, length=stop - start)
        case Pad(channels, top, bottom, left, right):
            return partial(F.pad, pad=(left, right, top, bottom, 0, channels))
        case Shuffle(groups):
            return partial(_shuffle, groups=groups)
        case Conv() | Linear() | BatchNorm():
            raise TypeError(f"{type(primitive).__name__} has arrays and is a module")
        case _:
            assert_never(primitive)


def _concat(*values: Tensor) -> Tensor:
    return torch.cat(values, dim=1)


def _shuffle(value: Tensor, groups: int) -> Tensor:
    batch, channels, height, width = value.shape
    split = value.view(batch, groups, channels // groups, height, width)
    return split.transpose(1, 2).reshape(batch, channels, height, width)


_IN_PLACE: dict[str, Callable[..., Tensor]] = {"relu": F.relu, "relu6": F.relu6}
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "swish": F.silu,
}
