"""Black-box search: propose, evaluate, score, observe.

Whatever learns is the controller's; this loop spends the evaluations. The controllers' files name their papers.

- What was evaluated once is known: a repeat costs nothing.
- What the objective does not admit by its cost is not evaluated: it is scored without an accuracy.
- Repeats and networks that are not admitted are proposals all the same, and those are limited: a controller that has
  settled ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.core.architecture import Architecture
from hwnas.core.errors import fields_of
from hwnas.core.objective import Objective
from hwnas.core.protocols import Checkpoint, Checkpoints, Controller, Evaluator, Progress


@dataclass(frozen=True, slots=True)
class BlackBoxSettings:
    """What can be set about the loop.

    Args:
        evaluations: distinct networks that may be evaluated.
        batch: proposals a step, observed together.
        proposals_per_evaluation: the search ends after `evaluations` times as many proposals.
    """

    evaluations: int
    batch: int = 1
    proposals_per_evaluation: int = 20

    @property
    def most_proposals(self) -> int:
        """Proposals after which the search ends, whatever has been evaluated."""
        return self.evaluations * self.proposals_per_evaluation


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One network that was evaluated.

    Args:
        architecture: what.
        accuracy: 0 to 1.
        cost: in the unit of the objective's target.
        score: by the objective.
    """

    architecture: Architecture
    accuracy: float
    cost: float
    score: float


@dataclass(frozen=True)
class BlackBoxSearched:
    """What a search leaves.

    Args:
        evaluated: distinct networks, in the order of their evaluation.
        proposals: how many architectures were proposed, repeats and those that were not admitted among them.
        steps: how often the controller observed.
    """

    evaluated: tuple[Evaluated, ...]
    proposals: int = 0
    steps: int = 0

    def best(self, evaluations: int | None = None) -> Evaluated | None:
        """The best by score of the first so many, None for all; of equal ones the first. None where there is none."""
        return max(self.evaluated[:evaluations], key=lambda one: one.score, default=None)


def search(
    controller: Controller, evaluator: Evaluator, cost: Callable[[Architecture], float], objective: Objective,
    settings: BlackBoxSettings, *, checkpoints: Checkpoints, progress: Progress, purpose: str = "search",
) -> BlackBoxSearched:  # fmt: skip
    """Spends the evaluations on what the controller proposes.

    Args:
        controller: proposes; new, or as `checkpoints` left it.
        evaluator: how good; called once for each network.
        cost: how much, in the unit of the objective's target; free.
        objective: makes one number of both.
        settings: how long.
        checkpoints: where the loop keeps its state; a search that was cut off goes on from there.
        progress: told how far it is, and the best so far.
        purpose: names this search for progress.

    Raises:
        EvaluationFailed: a network could not be evaluated.
    """
    found = _resumed(controller, checkpoints)
    known = {one.architecture: one for one in found.evaluated}
    proposals, step, best = found.proposals, found.steps, found.best()
    progress.stage(purpose, settings.evaluations, len(known))
    while len(known) < settings.evaluations and proposals < settings.most_proposals:
        proposed = controller.propose(min(settings.batch, settings.most_proposals - proposals))
        if not proposed:
            break  # the space is exhausted
        scored: list[tuple[Architecture, float]] = []
        for arch in proposed:
            price = cost(arch)
            if not objective.admits(price):
                scored.append((arch, objective.score(0.0, price)))
                continue
            if arch not in known and len(known) == settings.evaluations:
                continue  # the last of a batch, with nothing left to spend on it
            if arch not in known:
                accuracy = evaluator.evaluate(arch).accuracy
                known[arch] = Evaluated(arch, accuracy, price, objective.score(accuracy, price))
                best = _better(best, known[arch])
            scored.append((arch, known[arch].score))
        controller.observe(scored)
        proposals, step = proposals + len(proposed), step + 1
        if checkpoints.due(step):
            checkpoints.save(_checkpoint(controller, known.values(), proposals, step))
        facts = {"best score": best.score, "accuracy": best.accuracy, "cost": best.cost} if best else {}
        progress.advance(len(known), {**facts, "proposals": proposals})
    latest = checkpoints.latest()
    if latest is None or latest.step < step:
        checkpoints.save(_checkpoint(controller, known.values(), proposals, step))
    return BlackBoxSearched(tuple(known.values()), proposals, step)


def _better(best: Evaluated | None, one: Evaluated) -> Evaluated:
    """The one of the higher score; of equal ones the first."""
    return one if best is None or one.score > best.score else best


def _checkpoint(controller: Controller, evaluated: Iterable[Evaluated], proposals: int, step: int) -> Checkpoint:
    rows = [[one.architecture.to_json(), one.accuracy, one.cost, one.score] for one in evaluated]
    return Checkpoint(step, {}, {"controller": controller.state_dict(), "evaluated": rows, "proposals": proposals})


def _resumed(controller: Controller, checkpoints: Checkpoints) -> BlackBoxSearched:
    """What the latest checkpoint holds; the controller goes on from there."""
    found = checkpoints.latest()
    if found is None:
        return BlackBoxSearched(())
    with fields_of("checkpoint of a black-box search"):
        rows: Sequence[Any] = found.state["evaluated"]
        evaluated = tuple(Evaluated(Architecture.from_json(arch), *map(float, rest)) for arch, *rest in rows)
        proposals = int(found.state["proposals"])
        state = found.state["controller"]
    controller.load_state_dict(state)
    return BlackBoxSearched(evaluated, proposals, found.step)
