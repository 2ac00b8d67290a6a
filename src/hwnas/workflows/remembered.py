"""Scores that a run keeps: an architecture is evaluated once, also when the run is cut off in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, final

from hwnas.core.architecture import Architecture
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Evaluator
from hwnas.core.trial import Quality
from hwnas.evaluation.in_order import Answer, answer, as_they_come
from hwnas.runs.store import RunStore, TrialRecord

FAILED, STATUS = "failed", "status"


@final
class Remembered:
    """An Evaluator whose every word is kept in the run's store, refusals included.

    Args:
        evaluator: is asked for what the store does not hold.
        store: of the run.
        name: tells evaluators of one run apart; contenders that share one share its trials.
        kept: told of every architecture whose word has been kept, so that what it took can be removed.
        known: what another run has been told, by architecture; copied into the store when it is asked for.
    """

    def __init__(
        self, evaluator: Evaluator, store: RunStore, name: str, kept: Callable[[Architecture], None] | None = None,
        known: Mapping[str, TrialRecord] | None = None,
    ) -> None:  # fmt: skip
        self._evaluator = evaluator
        self._store = store
        self._name = name
        self._kept = kept or (lambda arch: None)
        self._known = known or {}

    def evaluate(self, arch: Architecture) -> Quality:
        """The quality of one architecture.

        Raises:
            EvaluationFailed: it could not be evaluated, now or before.
        """
        found = self._stored(arch) or self._keep(arch, answer(self._evaluator, arch))
        if isinstance(found, EvaluationFailed):
            raise found
        return found

    def in_order(
        self, architectures: Sequence[Architecture], at_once: int, end: Callable[[], None]
    ) -> Iterator[Answer]:
        """The answers about several architectures, in their order, each kept as soon as it is there.

        Args:
            architectures: distinct.
            at_once: how many are asked about at a time.
            end: called when nobody waits for answers any more.
        """
        found = {arch: stored for arch in architectures if (stored := self._stored(arch))}
        missing = [arch for arch in architectures if arch not in found]
        coming = as_they_come(self._evaluator, missing, at_once, end)
        with contextlib.closing(coming):
            for arch in architectures:
                while arch not in found:
                    come, said = next(coming)
                    found[come] = self._keep(come, said)
                yield found[arch]

    def _stored(self, arch: Architecture) -> Answer | None:
        trial = self._store.trial(self._name, arch.id)
        if trial is None and (trial := self._known.get(arch.id)):
            self._store.add_trial(self._name, arch.id, trial.content, label=trial.label)
        if trial is None:
            return None
        content = trial.content
        return EvaluationFailed(content[FAILED]) if FAILED in content else Quality(**content)

    def _keep(self, arch: Architecture, said: Answer) -> Answer:
        content: dict[str, Any]
        match said:
            case EvaluationFailed():
                content = {FAILED: str(said), STATUS: said.status}
            case Quality():
                content = asdict(said)
        self._store.add_trial(self._name, arch.id, content)
        self._kept(arch)
        return said


def failures(store: RunStore) -> list[dict[str, str]]:
    """Every architecture that could not be evaluated, with the kind of failure and the reason, for result.json."""
    return [
        {
            "architecture_id": trial.architecture_id,
            "source": trial.source,
            "status": trial.content.get(STATUS, EvaluationFailed.status),
            "reason": trial.content[FAILED],
        }
        for trial in store.trials()
        if FAILED in trial.content
    ]


def remarks(store: RunStore) -> list[dict[str, str]]:
    """Every architecture whose evaluation was not as usual, with what was not, for result.json."""
    return [
        {"architecture_id": trial.architecture_id, "source": trial.source, "remark": trial.content["remark"]}
        for trial in store.trials()
        if trial.content.get("remark")
    ]
