"""Asking an evaluator about several architectures; what cannot be found out is an answer, too."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from hwnas.core.architecture import Architecture
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Evaluator
from hwnas.core.trial import Quality

Answer = Quality | EvaluationFailed


def answer(evaluator: Evaluator, arch: Architecture) -> Answer:
    """How good one architecture is, or why that could not be found out."""
    try:
        return evaluator.evaluate(arch)
    except EvaluationFailed as reason:
        return reason


def in_order(evaluator: Evaluator, architectures: Iterable[Architecture]) -> Iterator[Answer]:
    """The answers one after the other."""
    return (answer(evaluator, arch) for arch in architectures)


def as_they_come(
    evaluator: Evaluator, architectures: Sequence[Architecture], at_once: int, end: Callable[[], None]
) -> Generator[tuple[Architecture, Answer], None, None]:
    """Every architecture with its answer, several asked about at a time.

    Args:
        evaluator: asked in threads of its own where `at_once` is above 1; it waits for processes there.
        architectures: asked about in this order, answered in any.
        at_once: how many are asked about at a time, at least 1.
        end: called when nobody waits for answers any more, so that what is at work ends soon.
    """
    if at_once == 1:
        yield from ((arch, answer(evaluator, arch)) for arch in architectures)
        return
    with ThreadPoolExecutor(at_once) as pool:
        asked = {pool.submit(answer, evaluator, arch): arch for arch in architectures}
        try:
            yield from ((asked[done], done.result()) for done in as_completed(asked))
        except BaseException:
            end()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
