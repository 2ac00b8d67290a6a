"""Work that is the same whatever the target: done by one fit, and taken over by those that differ in target and budget.

The steps of a search before its gates learn, a supernet on uniform paths, trainings from scratch and networks trained
alone follow from images, settings and seed; no latency enters them. What a run takes over becomes its own: it goes on
by itself, and ends with the very bits of one that has done everything alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from hwnas.core.errors import RunError
from hwnas.core.protocols import Checkpoint, Checkpoints, Progress
from hwnas.runs.checkpoints import CHECKPOINT_EVERY, CheckpointDirectory
from hwnas.runs.directory import CHECKPOINTS, STORE, RunDirectory
from hwnas.runs.provenance import environment
from hwnas.runs.settings import changes
from hwnas.runs.store import RunStore, TrialRecord
from hwnas.runs.stored import read_run
from hwnas.workflows.job import FitJob
from hwnas.workflows.remembered import FAILED

TRIALS = "trained-alone"  # what the quality of a network that was trained alone is stored under
TASK = ("target", "budget")  # the settings in which fits may differ that share work
START = "search-start"  # checkpoints of a search as it stood before its gates began to learn
TAKEN, FROM = "taken/", "from "  # stages, and labels of trials, that say what was taken over
_OF_THE_TARGET = ("expected_ms", "shares")  # figures of a search's course that another target has others of


def may_share(config: Mapping[str, Any], other: Mapping[str, Any], result: Mapping[str, Any], fingerprint: str) -> bool:
    """Whether a finished fit has work that another one would do again, bit for bit.

    Args:
        config: the settings of the one that would take it over.
        other: those of the finished one.
        result: its result.json.
        fingerprint: of the images.
    """
    mine, theirs = ({name: value for name, value in one.items() if name not in TASK} for one in (config, other))
    same_images = result.get("data", {}).get("fingerprint") == fingerprint
    return mine == theirs and same_images and not changes(result.get("environment"), environment())


def take_checkpoint(job: FitJob, run: RunDirectory, name: str, stage: str, given_as: str | None = None) -> None:
    """Begins a loop of this run with what a sibling has kept of the same loop; nothing where this run has begun it.

    Args:
        job: whose siblings are asked, in order.
        run: gets the checkpoint, the records of the steps before it, and a note.
        name: of the loop's checkpoints here.
        stage: of its records.
        given_as: of the checkpoints there; None for the same name.
    """
    own = run.checkpoints(name)
    if not job.siblings or own.latest() is not None:
        return
    for sibling in job.siblings:
        theirs = CheckpointDirectory(sibling / CHECKPOINTS / (given_as or name)).peek()
        if theirs is None:
            continue
        for line in read_run(sibling).metrics():
            if line.get("stage") == stage and line["step"] <= theirs.step:
                run.metrics({key: value for key, value in line.items() if key not in _OF_THE_TARGET})
        if run.store.stage(TAKEN + name) is None:
            facts = {"what": stage, "steps": theirs.step, "from": _seen_from(run, sibling)}
            run.store.finish_stage(TAKEN + name, facts, 0.0, 0.0)
        own.save(theirs)
        return


def search_checkpoints(job: FitJob, run: RunDirectory) -> Checkpoints:
    """The checkpoints of a search by gradients, which begins with a sibling's start and keeps its own for others.

    A start is as old as the last checkpoint before the gates learn, so that both runs have one of that step.
    """
    start = job.gradient.warmup_steps - job.gradient.warmup_steps % CHECKPOINT_EVERY
    if job.siblings is None or start == 0:
        return run.checkpoints("search")
    take_checkpoint(job, run, "search", "search", given_as=START)
    return KeepsStart(run.checkpoints("search"), run.checkpoints(START, keep=1), start)


@final
class KeepsStart:
    """Checkpoints of a loop that keep for others how it stood after so many steps.

    Args:
        own: of the loop.
        start: gets that one.
        step: after which.
    """

    def __init__(self, own: Checkpoints, start: Checkpoints, step: int) -> None:
        self._own = own
        self._start = start
        self._step = step

    def latest(self) -> Checkpoint | None:
        """The loop's own."""
        return self._own.latest()

    def due(self, step: int) -> bool:
        """As the loop's own."""
        return self._own.due(step)

    def save(self, checkpoint: Checkpoint) -> None:
        """Kept twice where it is the start; not after a return to it, which has changed the learning rate."""
        self._own.save(checkpoint)
        returned = any(setback["step"] > self._step for setback in checkpoint.state["setbacks"])
        if checkpoint.step == self._step and not returned:
            self._start.save(checkpoint)


def known_trials(job: FitJob, run: RunDirectory, progress: Progress) -> dict[str, TrialRecord]:
    """What became of networks that siblings have trained alone, by architecture; those that failed are tried again.

    Args:
        job: whose siblings are asked.
        run: from which they are seen.
        progress: told of a sibling that cannot be read, whose networks are trained again.
    """
    known: dict[str, TrialRecord] = {}
    for sibling in job.siblings or ():
        try:
            with RunStore(sibling / STORE, new=False) as store:
                trials = store.trials(TRIALS)
        except RunError as reason:
            progress.say(f"nothing is taken over from {sibling}: {reason}")
            continue
        for trial in trials:
            # Whoever ran out of memory there may have more of it here.
            if FAILED not in trial.content and not trial.content.get("remark"):
                known.setdefault(trial.architecture_id, replace(trial, label=FROM + _seen_from(run, sibling)))
    return known


def taken_over(run: RunDirectory) -> list[dict[str, Any]]:
    """What a run has taken over and from where, for result.json: loops with their steps, trials with their number."""
    stages = [stage.result for stage in run.store.stages() if stage.name.startswith(TAKEN)]
    trials = Counter((trial.source, trial.label) for trial in run.store.trials() if trial.label.startswith(FROM))
    counted = [
        {"what": source, "networks": count, "from": label.removeprefix(FROM)}
        for (source, label), count in trials.items()
    ]
    return stages + counted


def _seen_from(run: RunDirectory, sibling: Path) -> str:
    return Path(os.path.relpath(sibling, run.path)).as_posix()
