"""Architectures in order: by an evaluator, for a table; or by a cheap ranker, for whom to spend an evaluator on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from hwnas.core.architecture import Architecture
from hwnas.core.cost import Cost, CostKind, Totals
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Evaluator, Progress, Ranked, Ranker
from hwnas.core.trial import Quality, Trial

Standing = TypeVar("Standing", bound=Ranked)


def rank(
    architectures: Iterable[Architecture], evaluator: Evaluator, latencies: Totals, source: str, provenance: str,
    progress: Progress, kind: CostKind = "model",
) -> list[Trial]:  # fmt: skip
    """Scores architectures, best (lowest loss) first; those that cannot be scored are left out.

    Args:
        architectures: what is scored.
        evaluator: how.
        latencies: of them, in milliseconds.
        source: who proposed them.
        provenance: of the latencies.
        progress: told how far it is, and how many were left out.
        kind: of the latencies.

    Raises:
        EvaluationFailed: none of them can be scored.
    """

    def facts(arch: Architecture, quality: Quality) -> dict[str, float | str]:
        return {"best loss": quality.loss, "predicted_ms": latencies.total(arch)}

    return [
        Trial(arch, quality, Cost(latencies.total(arch), "ms", kind, provenance), source)
        for arch, quality in _in_order(architectures, evaluator.evaluate, facts, source, progress)
    ]


def foremost(
    architectures: Iterable[Architecture], ranker: Ranker, count: int, source: str, progress: Progress
) -> list[Architecture]:
    """The first so many by a cheap ranker, such as a zero-cost score: whom to spend an evaluator on.

    Args:
        architectures: of whom.
        ranker: how they are put in order; no accuracy is asked of it.
        count: at most this many; best first.
        source: who proposed them.
        progress: told how far it is, and how many were left out.

    Raises:
        EvaluationFailed: none of them can be scored.
    """

    def facts(arch: Architecture, standing: Ranked) -> dict[str, float | str]:
        return {"best merit": standing.merit}

    return [arch for arch, _ in _in_order(architectures, ranker.evaluate, facts, source, progress)][:count]


def _in_order(
    architectures: Iterable[Architecture], evaluate: Callable[[Architecture], Standing],
    facts: Callable[[Architecture, Standing], dict[str, float | str]], source: str, progress: Progress,
) -> list[tuple[Architecture, Standing]]:  # fmt: skip
    """Every architecture that can be scored, best first, with what was told of it; `facts` are shown of the best."""
    listed = list(architectures)
    progress.stage(f"score/{source}", len(listed))
    found: list[tuple[Architecture, Standing]] = []
    failed: list[str] = []
    for done, arch in enumerate(listed, start=1):
        try:
            found.append((arch, evaluate(arch)))
        except EvaluationFailed as reason:
            failed.append(str(reason))
            continue
        progress.advance(done, facts(*max(found, key=lambda one: one[1].merit)))
    if failed and not found:
        raise EvaluationFailed(
            f"score/{source}: none of {len(failed)} networks could be scored; the last one: {failed[-1]}"
        )
    if failed:
        progress.say(
            f"score/{source}: {len(failed)} of {len(listed)} networks could not be scored and are left out; "
            f"the last one: {failed[-1]}"
        )
    return sorted(found, key=lambda one: (-one[1].merit, one[0].id))
