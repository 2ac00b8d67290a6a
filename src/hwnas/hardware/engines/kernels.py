"""From the kernels that an engine's profiler names to the nodes of the ONNX file that they compute."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from statistics import median


def by_node(model: bytes, runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median over runs of what each node of an ONNX file takes.

    Engines fuse nodes and name the kernel after one of them, or its output, with something behind: "stem.act_nchwc",
    "stem.conv/WithoutBiases", "stem.conv_token_1". The longest beginning that the file knows counts.

    Args:
        model: the file.
        runs: at least one; ms by the engine's name of a kernel, in the order in which they run.

    Returns:
        ms by node, in that order; a kernel that begins with no name of the file keeps its own.
    """
    import onnx

    nodes = onnx.load_from_string(model).graph.node
    known = {output: node.name or output for node in nodes for output in node.output if output}
    known.update({node.name: node.name for node in nodes if node.name})
    begun = {kernel: beginning_of(kernel, known) for run in runs for kernel in run}
    own = {kernel: kernel if name is None else known[name] for kernel, name in begun.items()}
    taken: dict[str, list[float]] = {node: [0.0] * len(runs) for node in own.values()}
    for index, run in enumerate(runs):
        for kernel, ms in run.items():
            taken[own[kernel]][index] += ms
    # Below zero only by rounding: some profilers tell no single runs, but means of whole microseconds.
    return {node: max(0.0, median(values)) for node, values in taken.items()}


def beginning_of(name: str, known: Container[str]) -> str | None:
    """The longest known name that another begins with, as a whole word; None where it begins with none."""
    ends = [len(name), *(at for at in range(len(name) - 1, 0, -1) if not name[at].isalnum())]
    return next((name[:end] for end in ends if name[:end] in known), None)
