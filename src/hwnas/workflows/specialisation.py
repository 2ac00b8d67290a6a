"""The specialisation matrix: every network that several fits have delivered, measured on the target of every other.

A column is a target: its engine writes a file of every network, and all are timed in the same sessions. What a column
has found is stored when it is whole; one that is not says why, and is tried again by the next call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.core.cost import Budget
from hwnas.core.errors import EvaluationFailed, TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import PlannedPart, Progress, Work
from hwnas.hardware.engines import open_engine
from hwnas.hardware.model_files import refusals
from hwnas.runs.clock import Stopwatch
from hwnas.runs.directory import RunDirectory
from hwnas.runs.files import read_json
from hwnas.runs.stored import check_delivered
from hwnas.workflows.accounting import RunProgress
from hwnas.workflows.delivery import calibration_images
from hwnas.workflows.files import NETWORK, WEIGHTS, model_name, read_content, read_weights
from hwnas.workflows.job import FitJob
from hwnas.workflows.measuring import measured
from hwnas.workflows.result import correct_on_test
from hwnas.workflows.several import OneFit
from hwnas.workflows.statistics import wilson_interval
from hwnas.workflows.verdicts import Cell, Column, verdict

PLAIN = "f32"  # engines of this precision give the same scores, by contract; on every other one files are scored anew


@dataclass(frozen=True)
class Home:
    """What one of several fits was asked for, and what it has delivered.

    Args:
        fit: how it ended.
        place: its run directory.
        job: measures on its target; None where that is not available.
        reason: why not.
    """

    fit: OneFit
    place: Path
    job: FitJob | None
    reason: str = ""

    @property
    def budget_ms(self) -> float | None:
        """As the fit has settled it; of one that was refused, where it was asked for in time."""
        if self.fit.result is not None:
            return float(self.fit.result["budget"]["latency_ms"])
        return Budget.parse(self.fit.budget).latency_ms


@dataclass(frozen=True)
class Delivered:
    """A network that a fit has delivered, read back from its files.

    Args:
        home: where from.
    """

    home: Home

    @property
    def name(self) -> str:
        """The fit's directory, relative to where the summary lies."""
        return self.home.fit.directory

    @cached_property
    def digest(self) -> str:
        """The sha256 of the network and its weights."""
        parts = [hashlib.sha256(read_content(self._checked(name))).hexdigest() for name in (NETWORK, WEIGHTS)]
        return hashlib.sha256("/".join(parts).encode()).hexdigest()

    @cached_property
    def network(self) -> NetworkSpec:
        """As data."""
        return NetworkSpec.from_json(read_json(self._checked(NETWORK)))

    @cached_property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """Its weights."""
        return read_weights(self._checked(WEIGHTS), self.network, {})

    def file_for(self, job: FitJob) -> bytes:
        """The file that ships, where it was made for the job's target; else one that its engine writes.

        Raises:
            EvaluationFailed: the engine cannot run such a network.
        """
        engine = open_engine(job.target.name)
        if job.target.name == self.home.fit.target:
            return read_content(self._checked(model_name(engine.suffix)))
        return engine.write(self.network, self.arrays, calibration_images(job.data))

    def _checked(self, name: str) -> Path:
        check_delivered(self.home.place / name)
        return self.home.place / name


def specialised(homes: Sequence[Home], run: RunDirectory, shown: Progress) -> dict[str, Any]:
    """The matrix of fits with one seed.

    Args:
        homes: the fits, in order.
        run: keeps what is measured.
        shown: told how far it is.

    Returns:
        Plain values: "networks" by row, "homes" by column, "cells" by both, and a verdict in every network.

    Raises:
        FileFormatError: a file that a fit has delivered is damaged.
    """
    networks = [Delivered(home) for home in homes if home.fit.result is not None]
    targets = list(dict.fromkeys(home.fit.target for home in homes))
    jobs = {home.fit.target: home.job for home in homes if home.job is not None}
    reasons = {home.fit.target: home.reason for home in homes}
    progress = RunProgress(shown, run)
    plan = [
        PlannedPart(target, target, (Work("measure", ((job.settings.sessions, len(networks) + 1.0),)),))
        for target, job in jobs.items()
    ]
    progress.plan(f"{run.path}: every network on every target, seed {homes[0].fit.seed}", plan)
    columns: dict[str, Column] = {}
    for target in targets:
        progress.enter(target)
        plain = {name: cell for one in columns.values() if one.precision == PLAIN for name, cell in one.cells.items()}
        columns[target] = _column(target, jobs.get(target), reasons[target], networks, run, plain, progress)
        for doubt in dict.fromkeys(doubt for cell in columns[target].cells.values() for doubt in cell.doubts):
            progress.say(f"{target}: {doubt}")
        for name, reason in columns[target].reasons.items():
            progress.say(f"the network of {name} on {target}: {reason}")
    return _matrix(homes, networks, columns)


def _column(
    target: str, job: FitJob | None, unavailable: str, networks: Sequence[Delivered], run: RunDirectory,
    plain: Mapping[str, Cell], progress: Progress,
) -> Column:  # fmt: skip
    """Every network on one target, from the run's store or measured now.

    Args:
        target: its name.
        job: on it; None where it is not available.
        unavailable: why not.
        networks: that are measured.
        run: keeps what is measured.
        plain: what networks were found to get right in plain precision.
        progress: told about every session.
    """
    asked = json.dumps([[network.name, network.digest] for network in networks])
    stage = f"{target}/{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
    stored = run.store.stage(stage)
    if stored is not None:
        return Column.from_json(stored, f"{run.path}, {stage}")
    if job is None:
        return Column(target, "", {}, {network.name: unavailable for network in networks})
    watch = Stopwatch()
    files: dict[str, bytes] = {}
    correct: dict[str, list[bool]] = {}
    reasons: dict[str, str] = {}
    cells: dict[str, Cell] = {}
    try:
        engine = open_engine(target)
        precision = engine.fingerprint()["precision"]
        for network in networks:
            name = network.name
            try:
                with refusals():
                    content = network.file_for(job)
                    engine.load(content, job.target.key.input_shape)()  # what cannot be run is not timed beside others
                known = plain.get(name) if precision == PLAIN else None
                correct[name] = list(known.correct) if known else correct_on_test(job, job.target.name, content)
                files[name] = content
            except EvaluationFailed as reason:
                reasons[name] = str(reason)
        found = measured(job, run, files, _purpose(files), progress) if files else {}
    except (EvaluationFailed, TargetUnavailable) as reason:
        return Column(target, "", {}, {network.name: str(reason) for network in networks})
    for name, latency in found.items():
        cells[name] = Cell(
            latency.median_ms, latency.interval_ms, latency.sessions_ms, latency.file_sha256, tuple(correct[name]),
            tuple(f"{doubt.says} {doubt.advice}" for doubt in latency.doubts),
        )  # fmt: skip
    column = Column(target, precision, cells, reasons)
    if not reasons:
        spent = watch.spent()
        run.store.finish_stage(stage, column.to_json(), spent.cpu_seconds, spent.wall_seconds)
    return column


def _purpose(files: Mapping[str, bytes]) -> str:
    """What files are measured under: beside others they are measured anew, so that a column is timed side by side."""
    digests = [hashlib.sha256(content).hexdigest() for content in files.values()]
    return f"specialisation {hashlib.sha256(' '.join(digests).encode()).hexdigest()[:16]}"


def _matrix(homes: Sequence[Home], networks: Sequence[Delivered], columns: Mapping[str, Column]) -> dict[str, Any]:
    labels = labelled(homes)
    rows = []
    for network in networks:
        fit, budget_ms = network.home.fit, network.home.budget_ms or 0.0
        found = verdict(network.name, columns[fit.target], budget_ms, labels)
        delivered = (fit.result or {})["network"]
        facts = {name: delivered[name] for name in ("architecture_id", "params", "macs")}
        rows.append({"directory": network.name, "label": labels[network.name], **facts,
                     "verdict": found.kind, "says": found.says})  # fmt: skip
    places = [
        {
            "directory": home.fit.directory, "label": labels[home.fit.directory], "target": home.fit.target,
            "budget": home.fit.budget, "budget_ms": home.budget_ms, "precision": columns[home.fit.target].precision,
        }
        for home in homes
    ]  # fmt: skip
    cells = [[_cell(network.name, columns[home.fit.target], home.budget_ms) for home in homes] for network in networks]
    return {"seed": homes[0].fit.seed, "networks": rows, "homes": places, "cells": cells}


def labelled(homes: Sequence[Home]) -> dict[str, str]:
    """What to call each fit: its target, and its budget as well where a target has several."""
    targets = [home.fit.target for home in homes]
    return {
        home.fit.directory: home.fit.target + (f" at {home.fit.budget}" if targets.count(home.fit.target) > 1 else "")
        for home in homes
    }


def _cell(name: str, column: Column, budget_ms: float | None) -> dict[str, Any]:
    cell = column.cells.get(name)
    if cell is None:
        return {"error": column.reasons.get(name, "")}
    return {
        "error": None,
        "latency_ms": cell.median_ms,
        "latency_interval_ms": list(cell.interval_ms),
        "sessions_ms": list(cell.sessions_ms),
        "file_sha256": cell.file_sha256,
        "doubts": list(cell.doubts),
        "accuracy": cell.accuracy,
        "accuracy_interval": list(wilson_interval(cell.correct)),
        "test_images": len(cell.correct),
        "inside": None if budget_ms is None else cell.inside(budget_ms),
    }
