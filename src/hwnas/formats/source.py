"""A network as a stand-alone Python file: plain PyTorch that needs nothing of ours.

Names come from files that strangers may have written. They reach the source only as identifiers that are checked here,
or as text that `repr` has quoted.
"""

from __future__ import annotations

import keyword
import textwrap
from collections import Counter
from dataclasses import fields
from typing import Any, assert_never

from hwnas.core.errors import InputError
from hwnas.core.graphs import Step, check_names, reader_counts, schedule
from hwnas.core.network import NetworkSpec, Node, lower
from hwnas.core.primitives import (
    Activation,
    Add,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    Graph,
    Linear,
    Mul,
    Pad,
    Pool,
    Primitive,
    Shape,
    Shuffle,
    Slice,
)
from hwnas.formats.source_text import FOOTER, HEADER, SHUFFLE

# What nn.Module has attributes of: a part of such a name is written part["type"], since part.type is something else.
TAKEN_BY_TORCH = frozenset(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double
    dump_patches eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu
    load_state_dict modules mtia named_buffers named_children named_modules named_parameters parameters
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook register_load_state_dict_post_hook
    register_load_state_dict_pre_hook register_module register_parameter register_state_dict_post_hook
    register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory state_dict to
    to_empty train training type xpu zero_grad
    """.split()
)
_ACTIVATIONS = {
    "relu": "F.relu",
    "relu6": "F.relu6",
    "sigmoid": "torch.sigmoid",
    "hard_sigmoid": "F.hardsigmoid",
    "hard_swish": "F.hardswish",
    "swish": "F.silu",
}


def to_source(network: NetworkSpec) -> str:
    """The network as the text of network.py: a class `Network`, `load(path)` for weights.safetensors, a main program.

    Args:
        network: the parts of its node names are identifiers that begin with a letter.

    Returns:
        Python source that imports torch and the standard library only; the class's state_dict keys are the names of
        the network's arrays.

    Raises:
        InputError: a node's name is not a dotted identifier, or one name lies inside another.
    """
    graph = lower(network)
    check_names(graph)
    shuffles = any(isinstance(operation.primitive, Shuffle) for operation in graph.operations)
    footer = FOOTER.replace("INPUT_SHAPE", ", ".join(str(size) for size in network.input_shape))
    parts = [HEADER, *([SHUFFLE] if shuffles else []), _network_class(network, graph), footer]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _network_class(network: NetworkSpec, graph: Graph) -> str:
    images, scores = _sizes(network.input_shape), _sizes(graph.shapes()[graph.output])
    lines = [
        "class Network(Group):",
        f'    """{len(network.nodes)} layers: images (batch, {images}) to scores (batch, {scores})."""',
        "",
        "    def __init__(self) -> None:",
        *(f"        {line}" for line in _group("super().__init__", _module_tree(graph), "", 104)),
        "",
        "    def forward(self, x: torch.Tensor) -> torch.Tensor:",
        *(f"        {line}" if line else "" for line in _forward(network, graph)),
    ]
    return "\n".join(lines)


class _Tree(dict[str, "str | _Tree"]):
    """Module expressions under nested names."""


def _module_tree(graph: Graph) -> _Tree:
    tree = _Tree()
    for operation in graph.operations:
        expression = _module(operation.primitive)
        if not expression:
            continue
        *path, leaf = operation.name.split(".")
        below = tree
        for part in path:
            inner = below.setdefault(part, _Tree())
            if isinstance(inner, str):
                raise InputError(f"operation {operation.name!r} would lie inside another: rename its node")
            below = inner
        if leaf in below:
            raise InputError(f"operation {operation.name!r} has operations inside it: rename its node")
        below[leaf] = expression
    return tree


def _group(call: str, tree: _Tree, end: str, width: int) -> list[str]:
    """The lines of `call(name=module, …)`; one line where all are plain modules and fit the width."""
    plain = all(_plain(name) for name in tree)
    lines = []
    for name, content in tree.items():
        start = f"{name}=" if plain else f"{name!r}: "
        inner = [f"{content},"] if isinstance(content, str) else _group("Group", content, ",", width - 4 - len(start))
        lines += [start + inner[0], *inner[1:]]
    opening, closing = ("(", ")") if plain else ("(**{", "})")
    flat = f"{call}{opening}{' '.join(lines).rstrip(',')}{closing}{end}"
    if len(flat) <= width and all(isinstance(content, str) for content in tree.values()):
        return [flat]
    return [f"{call}{opening}", *(f"    {line}" for line in lines), f"{closing}{end}"]


def _forward(network: NetworkSpec, graph: Graph) -> list[str]:
    """The lines that compute the scores, one paragraph a node; convolution, batch-norm, activation are one line."""
    plan = schedule(graph)
    readers = reader_counts(graph)
    writers = _writers(network, graph)
    modules = Counter(writers[operation.name].name for operation in graph.operations if _module(operation.primitive))
    lines: list[str] = []
    pending: dict[str, str] = {}  # values that are an expression still, to be used up by the next operation
    here, base = None, "self"
    for step, after in zip(plan.steps, [*plan.steps[1:], None], strict=True):
        operation = step.operation
        node = writers[operation.name]
        if node is not here:
            lines += ["", *_comment(node)] if here else _comment(node)
            here, base = node, "self"
            if "." in node.name and modules[node.name] > 2:
                lines.append(f"layer = self{_path(node.name)}")
                base = "layer"
        below = operation.name if base == "self" else operation.name.removeprefix(f"{node.name}.")
        inputs = zip(operation.inputs, step.reads, strict=True)
        arguments = [pending.pop(value, "") or _variable(slot) for value, slot in inputs]
        expression = _expression(operation.primitive, f"{base}{_path(below)}", arguments)
        if after and _goes_on(step, after, readers) and writers[after.operation.name] is node:
            pending[operation.name] = expression
        else:
            lines.append(f"{_variable(step.writes)} = {expression}  # {_sizes(operation.shape)}")
    return [*lines, f"return {_variable(plan.output)}"]


def _goes_on(step: Step, after: Step, readers: dict[str, int]) -> bool:
    """Whether the next operation alone reads this value and reads well around it."""
    light = isinstance(after.operation.primitive, (BatchNorm, Activation, Flatten, Shuffle))
    return light and after.operation.inputs == (step.operation.name,) and readers[step.operation.name] == 1


def _writers(network: NetworkSpec, graph: Graph) -> dict[str, Node]:
    """The node that wrote each operation: the longest name that the operation's begins with."""
    nodes = {node.name: node for node in network.nodes}
    writers = {}
    for operation in graph.operations:
        name = operation.name
        while name and name not in nodes:
            name = name.rpartition(".")[0]
        if not name:
            raise InputError(f"operation {operation.name!r} does not bear the name of its node in front")
        writers[operation.name] = nodes[name]
    return writers


def _comment(node: Node) -> list[str]:
    layer: Any = node.layer
    options = [
        f"{field.name}={getattr(layer, field.name)!r}"
        for field in fields(layer)
        if getattr(layer, field.name) != field.default
    ]
    text = " ".join(f"{node.name}: {type(layer).__name__}({', '.join(options)})".split())
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="#     ", break_on_hyphens=False)


def _module(primitive: Primitive) -> str:
    """The expression that makes a primitive's module, "" where it has none."""
    match primitive:
        case Conv():
            options = {
                "stride": (primitive.stride, 1),
                "padding": (_pair(primitive.padding), "0"),
                "dilation": (primitive.dilation, 1),
                "groups": (primitive.groups, 1),
                "bias": (primitive.bias, True),
            }
            given = "".join(f", {key}={value}" for key, (value, default) in options.items() if value != default)
            return f"nn.Conv2d({primitive.in_channels}, {primitive.out_channels}, {_pair(primitive.kernel)}{given})"
        case Linear(in_features, out_features, bias):
            return f"nn.Linear({in_features}, {out_features}{'' if bias else ', bias=False'})"
        case BatchNorm(channels, eps):
            return f"BatchNorm({channels}{'' if eps == 1e-5 else f', eps={float(eps)!r}'})"
        case _:
            return ""


def _expression(primitive: Primitive, module: str, arguments: list[str]) -> str:
    first = arguments[0]
    match primitive:
        case Conv() | Linear() | BatchNorm():
            return f"{module}({first})"
        case Activation(kind):
            return f"{_ACTIVATIONS[kind]}({first})"
        case Pool("max", kernel, stride, padding):
            return f"F.max_pool2d({first}, {kernel}, stride={stride}, padding={padding})"
        case Pool(_, kernel, stride, padding):
            return f"F.avg_pool2d({first}, {kernel}, stride={stride}, padding={padding}, count_include_pad=False)"
        case GlobalPool():
            return f"F.adaptive_avg_pool2d({first}, 1)"
        case Flatten():
            return f"torch.flatten({first}, 1)"
        case Add():
            return " + ".join(arguments)
        case Mul():
            return " * ".join(arguments)
        case Concat():
            return f"torch.cat([{', '.join(arguments)}], dim=1)"
        case Slice(start, stop):
            return f"{first}[:, {start}:{stop}]"
        case Pad(channels, top, bottom, left, right):
            return f"F.pad({first}, ({left}, {right}, {top}, {bottom}, 0, {channels}))"
        case Shuffle(groups):
            return f"channel_shuffle({first}, {groups})"
        case _:
            assert_never(primitive)


def _path(name: str) -> str:
    """How a part is reached from `self`: .stage1.block0, or ["in"] where a name cannot be an attribute."""
    return "".join(f".{part}" if _plain(part) else f"[{part!r}]" for part in name.split("."))


def _plain(part: str) -> bool:
    return not (keyword.iskeyword(part) or part in TAKEN_BY_TORCH)


def _variable(slot: int) -> str:
    return "xyz"[slot] if slot < 3 else f"v{slot}"


def _pair(sizes: tuple[int, int]) -> str:
    return f"{sizes[0]}" if sizes[0] == sizes[1] else f"({sizes[0]}, {sizes[1]})"


def _sizes(shape: Shape) -> str:
    return ", ".join(str(size) for size in shape)
