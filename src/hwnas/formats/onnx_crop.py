"""ONNX files in which whatever is cut off is cut by Slice, for engines that get negative pads wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hwnas.core.errors import InputError

_TO_THE_END = 2**31 - 1


def with_slices(model: bytes) -> bytes:
    """Replaces Pads with negative numbers by a Slice, and another Pad where there are positive ones beside them.

    Done where the numbers stand in the file and what is added is a constant: opset 11 or newer, mode "constant", no
    axes of its own.

    Args:
        model: an ONNX file of anybody's.

    Returns:
        The very same bytes where there is no such Pad.

    Raises:
        InputError: it is no ONNX file.
    """
    import onnx

    try:
        parsed = onnx.load_from_string(model)
    except Exception as reason:  # of protobuf's own kind
        raise InputError(f"this is no ONNX file: {' '.join(str(reason).split())}") from None
    numbers = dict(_constants(parsed.graph))
    known = {index: _pads(node, numbers) for index, node in enumerate(parsed.graph.node)}
    cuts = {index: pads for index, pads in known.items() if min(pads, default=0) < 0}
    if not cuts:
        return model
    nodes: list[Any] = []
    for index, node in enumerate(parsed.graph.node):
        nodes.extend(_cut(node, cuts[index], parsed.graph) if index in cuts else [node])
    copies = onnx.helper.make_graph(nodes, "nodes", [], []).node  # before the old ones are removed
    del parsed.graph.node[:]
    parsed.graph.node.extend(copies)
    return bytes(parsed.SerializeToString())


def _constants(graph: Any) -> Iterator[tuple[str, Any]]:
    """Tensors that are known before the network runs, by name."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            yield node.output[0], node.attribute[0].t


def _pads(node: Any, numbers: dict[str, Any]) -> list[int]:
    """What a Pad puts before and after each axis; nothing for other nodes, unusual forms, and where it is not known."""
    from onnx import numpy_helper

    other = [one for one in node.attribute if one.name != "mode" or one.s != b"constant"]
    if node.op_type != "Pad" or other or len(node.input) not in (2, 3) or node.input[1] not in numbers:
        return []
    return [int(number) for number in numpy_helper.to_array(numbers[node.input[1]])]


def _cut(node: Any, pads: list[int], graph: Any) -> list[Any]:
    """The nodes that do what a Pad with negative numbers does."""
    from onnx import helper, numpy_helper

    output, axes = node.output[0], len(pads) // 2

    def stored(what: str, values: list[int]) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), f"{output}.{what}"))
        return f"{output}.{what}"

    more = [max(0, number) for number in pads]
    value = f"{output}.cut" if any(more) else output
    where = [
        stored("starts", [max(0, -begin) for begin in pads[:axes]]),
        stored("ends", [end if end < 0 else _TO_THE_END for end in pads[axes:]]),
        stored("axes", list(range(axes))),
    ]
    cut = helper.make_node("Slice", [node.input[0], *where], [value], name=f"{node.name}.cut")
    if not any(more):
        return [cut]
    padded = [value, stored("more", more), *node.input[2:]]
    return [cut, helper.make_node("Pad", padded, [output], name=node.name, mode="constant")]
