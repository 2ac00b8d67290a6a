"""result.json: everything a run has to say, as one object. The test split is read here, once, at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hwnas.core.counting import count
from hwnas.data.images import ImageData
from hwnas.data.stream import evaluation_batches
from hwnas.hardware.engines import PROOF, open_engine
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.timing import Measurement
from hwnas.runs.canonical import canonical_sha256
from hwnas.runs.directory import RunDirectory
from hwnas.runs.stored import RESULT_FORMAT, file_digests
from hwnas.workflows.blocks import blocks
from hwnas.workflows.delivery import Delivery, preprocessing
from hwnas.workflows.files import model_name
from hwnas.workflows.job import FitJob
from hwnas.workflows.phase import SearchPhase
from hwnas.workflows.remembered import failures, remarks
from hwnas.workflows.sharing import TAKEN, taken_over
from hwnas.workflows.statistics import paired_difference, paired_verdict, rounding_verdict, wilson_interval


@dataclass(frozen=True)
class Shipped:
    """A delivered network, and what was found of its file on the target.

    Args:
        delivery: the network.
        measurement: its latency.
        taken: its size, and its memory where that is limited, in bytes.
        over: what of these is over its limit, in words.
    """

    delivery: Delivery
    measurement: Measurement
    taken: Mapping[str, int]
    over: Sequence[str]

    def inside(self, budget_ms: float) -> bool:
        """Whether it is inside the budget and every further limit."""
        return self.measurement.inside(budget_ms) and not self.over


@dataclass(frozen=True)
class Outcome:
    """What a run has found out.

    Args:
        job: what was asked.
        run: where everything is kept.
        phase: the search.
        shipped: the searched network first, then the baselines.
        rounds: the closed loop, one row a measured file.
    """

    job: FitJob
    run: RunDirectory
    phase: SearchPhase
    shipped: Sequence[Shipped]
    rounds: tuple[dict[str, Any], ...]


def result_json(outcome: Outcome) -> dict[str, Any]:
    """The content of result.json; scores every delivered file on the test split."""
    job, phase = outcome.job, outcome.phase
    limits, chosen = phase.limits, outcome.shipped[0].delivery.chosen
    correct = [correct_on_test(job, job.target.name, shipped.delivery.model) for shipped in outcome.shipped]
    entries = [_entry(job, shipped, right) for shipped, right in zip(outcome.shipped, correct, strict=True)]
    inside = outcome.shipped[0].inside(limits.budget_ms)
    result = {
        "format": RESULT_FORMAT,
        "status": "inside-budget" if inside else "over-budget",
        "command": job.command,
        "hwnas": outcome.run.environment["hwnas"],
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seed": job.settings.seed,
        "data": data_facts(job.data),
        "preprocessing": preprocessing(job.data),
        "space": job.space.choices.name,
        "target": {
            "name": job.target.name,
            "id": job.target.key.id,
            "key": job.target.key.to_json(),
            "file": model_name(open_engine(job.target.name).suffix),
        },
        "budget": {
            "text": str(job.settings.budget),
            "latency_ms": limits.budget_ms,
            "planned_ms": limits.planned_ms,
            "fastest_ms": limits.fastest_ms,
            "largest_ms": limits.largest_ms,
            "limits": dict(job.settings.limits),
        },
        "network": {**entries[0], "rounding": _rounding(job, outcome.shipped[0].delivery, correct[0])},
        "baselines": entries[1:],
        "latency_model": _latency_model(phase.latencies.model),
        "search": phase.facts(chosen),
        "rounds": list(outcome.rounds),
        "comparison": [
            _compared(entries[0], entry, correct[0], right)
            for entry, right in zip(entries[1:], correct[1:], strict=True)
        ],
        "candidates": _candidates(outcome),
        "blocks": blocks(job.space.decode(chosen.trial.architecture), phase.latencies.model),
        "compute": [
            {"stage": row.name, "cpu_seconds": row.spent.cpu_seconds, "wall_seconds": row.spent.wall_seconds}
            for row in outcome.run.store.stages()
            if not row.name.startswith(TAKEN)
        ],
        "shared": taken_over(outcome.run),
        "environment": outcome.run.environment,
        "files": file_digests(outcome.run.path),
        "setbacks": _setbacks(outcome),
        "failed_candidates": failures(outcome.run.store),
        "remarks": remarks(outcome.run.store),
        "warnings": [finding.to_json() for finding in phase.warnings],
    }
    return {**result, "repeat": {"canonical_sha256": canonical_sha256(result, outcome.run)}}


def correct_on_test(job: FitJob, target: str, model: bytes) -> list[bool]:
    """For each test image whether a file, run by a target's engine, classifies it as it should be."""
    right: list[bool] = []
    engine = open_engine(target)
    for images, labels in evaluation_batches(job.data, job.data.test, 500, job.device.torch):
        scores = engine.predict(model, images.cpu().contiguous().numpy())
        right += (np.argmax(scores, axis=1) == labels.cpu().numpy()).tolist()
    return right


def _entry(job: FitJob, shipped: Shipped, correct: list[bool]) -> dict[str, Any]:
    delivery, chosen = shipped.delivery, shipped.delivery.chosen
    arch = chosen.trial.architecture
    counts = count(job.space.decode(arch))
    latency = shipped.measurement.to_json()
    del latency["format"], latency["raw"]  # the samples are in the run's store
    return {
        "role": chosen.contender.role,
        "label": chosen.contender.label,
        "architecture": arch.to_json(),
        "architecture_id": arch.id,
        "parity": asdict(delivery.parity),
        "reason": chosen.reason,
        "predicted_ms": chosen.trial.latency.value,
        "latency": latency,
        "accuracy": {
            "test": sum(correct) / len(correct),
            "interval": list(wilson_interval(correct)),
            "search": delivery.quality.accuracy,
            "test_images": len(correct),
        },
        "weights": delivery.weights,
        "scratch_search_accuracy": delivery.scratch.accuracy,
        "inherited_search_accuracy": delivery.inherited.accuracy if delivery.inherited else None,
        "shared_weights_loss": chosen.trial.quality.loss,
        "params": counts.params,
        "macs": counts.macs,
        "peak_activation_bytes": counts.peak_activation_bytes,
        "size_bytes": len(delivery.model),
        "memory_bytes": shipped.taken.get("memory"),
        "over": list(shipped.over),
    }


def _rounding(job: FitJob, delivery: Delivery, correct: list[bool]) -> dict[str, Any] | None:
    """What fewer bits cost in accuracy: the file beside the same weights in f32; None where it has all of them."""
    precision = open_engine(job.target.name).fingerprint()["precision"]
    if precision == "f32":
        return None
    exact = correct_on_test(job, PROOF, (delivery.directory / model_name(".onnx")).read_bytes())
    difference, interval = paired_difference(correct, exact)
    return {
        "precision": precision,
        "test_in_f32": sum(exact) / len(exact),
        "difference": difference,
        "interval": list(interval),
        "says": rounding_verdict(precision, difference, interval, len(correct)),
    }


def _setbacks(outcome: Outcome) -> list[dict[str, Any]]:
    """Each once: contenders that chose the same architecture share its trainings."""
    found = [*outcome.phase.setbacks, *(row for shipped in outcome.shipped for row in shipped.delivery.setbacks)]
    return [asdict(setback) for setback in dict.fromkeys(found)]


def data_facts(data: ImageData) -> dict[str, Any]:
    """Which images these are, and how many in each split."""
    sizes = {"train": len(data.train), "search": len(data.search), "test": len(data.test)}
    shape = {"input_shape": list(data.input_shape), "fingerprint": data.fingerprint, "skipped": data.skipped}
    return {"name": data.name, "class_names": list(data.class_names), **sizes, **shape}


def _latency_model(model: LatencyModel | None) -> dict[str, Any] | None:
    if model is None or model.quality is None:
        return None
    return {**model.quality.to_json(), "kind": model.kind, "errors_percent": dict(model.errors_percent)}


def _compared(
    searched: dict[str, Any], entry: dict[str, Any], searched_correct: list[bool], correct: list[bool]
) -> dict[str, Any]:
    difference, interval = paired_difference(searched_correct, correct)
    verdict = paired_verdict(entry["label"], difference, interval, len(correct))
    if entry["architecture_id"] == searched["architecture_id"]:
        verdict = f"{entry['label'].capitalize()} chose the very architecture that the search chose."
    return {
        "against": entry["role"], "label": entry["label"], "difference": difference, "interval": list(interval),
        "verdict": verdict,
    }  # fmt: skip


def _candidates(outcome: Outcome) -> list[dict[str, Any]]:
    """Everything that was scored; where it was evaluated one after the other, with its number by its source."""
    rows = []
    for delivery in (shipped.delivery for shipped in outcome.shipped):
        searched = delivery.chosen.contender.role == "searched"
        source = outcome.phase.strategy if searched else delivery.chosen.contender.role
        trials = (outcome.phase.trials if searched else ()) or delivery.chosen.trials
        numbers = {arch: number for number, arch in enumerate(delivery.chosen.contender.order, start=1)}
        rows += [
            {
                "architecture": trial.architecture.as_dict(),
                "architecture_id": trial.architecture.id,
                "predicted_ms": trial.latency.value,
                "loss": trial.quality.loss,
                "accuracy": trial.quality.accuracy,
                "source": source,
                **({"number": numbers[trial.architecture]} if trial.architecture in numbers else {}),
            }
            for trial in trials
        ]
    return rows
