"""Scores that a run keeps: an architecture is evaluated once, also when the run is cut off in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, final

from hwnas.core.architecture import Architecture
from hwnas.core.errors import EvaluationFailed
from hwnas.core.protocols import Evaluator
from hwnas.core.trial import Quality
from hwnas.runs.store import RunStore

FAILED, STATUS = "failed", "status"


@final
class Remembered:
    """An Evaluator whose every word is kept in the run's store, refusals included.

    Args:
        evaluator: is asked for what the store does not hold.
        store: of the run.
        name: tells evaluators of one run apart; contenders that share one share its trials.
        kept: told of every architecture whose word has been kept, so that what it took can be removed.
    """

    def __init__(
        self, evaluator: Evaluator, store: RunStore, name: str, kept: Callable[[Architecture], None] | None = None
    ) -> None:
        self._evaluator = evaluator
        self._store = store
        self._name = name
        self._kept = kept or (lambda arch: None)

    def evaluate(self, arch: Architecture) -> Quality:
        """The quality of one architecture.

        Raises:
            EvaluationFailed: it could not be evaluated, now or before.
        """
        trial = self._store.trial(self._name, arch.id)
        content = self._evaluated(arch) if trial is None else trial.content
        if FAILED in content:
            raise EvaluationFailed(content[FAILED])
        return Quality(**content)

    def _evaluated(self, arch: Architecture) -> dict[str, Any]:
        try:
            content = asdict(self._evaluator.evaluate(arch))
        except EvaluationFailed as reason:
            content = {FAILED: str(reason), STATUS: reason.status}
        self._store.add_trial(self._name, arch.id, content)
        self._kept(arch)
        return content


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
