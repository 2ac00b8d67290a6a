"""Asking an evaluator about several architectures; what cannot be found out is an answer, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hwnas.core.architecture import Architecture
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Evaluator
from hwnas.core.trial import Quality


def answer(evaluator: Evaluator, arch: Architecture) -> Quality | EvaluationFailed:
    """How good one architecture is, or why that could not be found out."""
    try:
        return evaluator.evaluate(arch)
    except EvaluationFailed as reason:
        return reason


def in_order(evaluator: Evaluator, architectures: Iterable[Architecture]) -> Iterator[Quality | EvaluationFailed]:
    """The answers one after the other."""
    return (answer(evaluator, arch) for arch in architectures)
