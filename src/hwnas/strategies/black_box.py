"""Black-box search: propose, price, evaluate, score, observe.

Whatever learns is the controller's; this loop spends the evaluations. The controllers' files name their papers.

- What was evaluated once is known: a repeat costs nothing.
- What the objective does not admit by its costs is not evaluated: it is scored without an accuracy.
- Repeats and networks that are not admitted are proposals all the same, and those are limited: a controller that has
  settled ends the search.
- A network that cannot be evaluated is scored as one that is always wrong. Where most of the latest ones cannot be,
  something else is broken, and the search stops.
- Nothing depends on which of a batch is evaluated first: scores are observed in the order of proposals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.collapse import WINDOW
from hwnas.core.errors import EvaluationFailed
from hwnas.core.objective import Costs, Objective
from hwnas.core.protocols import Checkpoints, Controller, Progress
from hwnas.core.trial import Quality
from hwnas.strategies.evaluated import BlackBoxSearched, Evaluated, checkpoint_of, evaluated, resumed

LATEST = 20  # evaluations that are looked back upon; more than half of them failed ends a search


@dataclass(frozen=True)
class Problem:
    """What is searched, and who answers.

    Args:
        choices: the space.
        price: what architectures cost, by name and in their order; asked for all that are new in a batch at once.
        evaluate: how good architectures are, in their order; an answer may be that it could not be found out.
    """

    choices: ChoiceSpace
    price: Callable[[Sequence[Architecture]], Sequence[Costs]]
    evaluate: Callable[[Sequence[Architecture]], Iterable[Quality | EvaluationFailed]]


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


class BlackBoxSearch(Protocol):
    """A strategy that is a controller in this file's loop: a file of its own says which, and why."""

    def __call__(
        self, problem: Problem, objective: Objective, settings: BlackBoxSettings, *, seed: int,
        checkpoints: Checkpoints, progress: Progress, purpose: str = "search",
    ) -> BlackBoxSearched:  # fmt: skip
        """Searches; the arguments are those of `search`, and `seed` that of the controller."""
        ...


def search(
    controller: Controller, problem: Problem, objective: Objective, settings: BlackBoxSettings, *,
    checkpoints: Checkpoints, progress: Progress, purpose: str = "search",
) -> BlackBoxSearched:  # fmt: skip
    """Spends the evaluations on what the controller proposes.

    Args:
        controller: proposes; new, or as `checkpoints` left it.
        problem: what it proposes from, and who answers.
        objective: makes one number of accuracy and costs.
        settings: how long.
        checkpoints: where the loop keeps its state; a search that was cut off goes on from there.
        progress: told how far it is, and the best so far.
        purpose: names this search for progress.

    Raises:
        EvaluationFailed: more than half of the latest networks could not be evaluated; resumed, the search goes on.
    """
    found = resumed(controller, checkpoints)
    known = {one.architecture: one for one in found.evaluated}
    points = [(one.accuracy, one.costs) for one in found.evaluated]
    repeated = deque(found.repeated, WINDOW)
    proposals, step, best, forgiven = found.proposals, found.steps, found.best(), found.forgiven

    def searched() -> BlackBoxSearched:
        return BlackBoxSearched(tuple(known.values()), proposals, step, tuple(repeated), forgiven)

    progress.stage(purpose, settings.evaluations, len(known))
    while len(known) < settings.evaluations and proposals < settings.most_proposals:
        proposed = controller.propose(min(settings.batch, settings.most_proposals - proposals))
        if not proposed:
            break  # the space is exhausted
        repeated.extend(arch in known for arch in proposed)
        new = [arch for arch in dict.fromkeys(proposed) if arch not in known]
        costs = dict(zip(new, problem.price(new), strict=True))
        admitted = [arch for arch in new if objective.admits(costs[arch])][: settings.evaluations - len(known)]
        for arch, answer in zip(admitted, problem.evaluate(admitted), strict=True):
            known[arch] = one = evaluated(arch, answer, costs[arch], objective, points)
            points.append((one.accuracy, one.costs))
            best = _better(best, one)
            facts = {"best score": best.score, "accuracy": best.accuracy} if best else {}
            progress.advance(len(known), {**facts, "proposals": proposals + len(proposed)})
        controller.observe([
            (arch, known[arch].score if arch in known else objective.score(0.0, costs[arch], points))
            for arch in proposed
            if arch in known or not objective.admits(costs[arch])  # the rest of a batch, with nothing left to spend
        ])  # fmt: skip
        proposals, step = proposals + len(proposed), step + 1
        latest_first = islice(reversed(known.values()), min(LATEST, len(known) - forgiven))
        reason = _mostly_failing([*latest_first]) if admitted else ""
        forgiven = len(known) if reason else forgiven
        if checkpoints.due(step) or reason:
            checkpoints.save(checkpoint_of(controller, searched()))
        if reason:
            raise EvaluationFailed(f"{purpose}: {reason}")
    latest = checkpoints.latest()
    if latest is None or latest.step < step:
        checkpoints.save(checkpoint_of(controller, searched()))
    return searched()


def _better(best: Evaluated | None, one: Evaluated) -> Evaluated | None:
    """The one of the higher score that did not fail; of equal ones the first."""
    if one.failure:
        return best
    return one if best is None or one.score > best.score else best


def _mostly_failing(latest: Sequence[Evaluated]) -> str:
    """What to say where more than half of so many as are looked back upon, latest first, have failed; else nothing."""
    failed = [one for one in latest if one.failure]
    if len(latest) < LATEST or 2 * len(failed) <= LATEST:
        return ""
    return (
        f"{len(failed)} of the last {LATEST} networks could not be evaluated, so the search stops; the last one: "
        f"{failed[0].failure}. Mend the cause and repeat the command: what was evaluated is kept"
    )
