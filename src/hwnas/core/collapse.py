"""Whether a search has decided anything, and whether that was for a reason: what its course says of it.

A search can end well-behaved and worthless: gates that never moved, gates that were decided before the weights had
learned anything, every layer removed because the latency term outweighed the loss. Each shows in three figures of the
course, which this file looks at; nothing here changes a search.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.core.cost import CostTerms
from hwnas.core.errors import fields_of
from hwnas.core.layers import Zero
from hwnas.core.protocols import PathSpace, Slot

DECIDED = 0.1  # entropy share: of seven options, the likeliest has about 97 %
EARLY = 0.5  # of the architecture steps: what was decided then is half a search older than the weights that are used
UNIFORM = 0.99  # entropy share: options a fifth likelier or less likely than equal; 100 steps of noise go further
REMOVED = 0.95  # mean probability of removal
OFF = 0.2  # of the target: more than three times the error of a latency model, so no noise
REPEATED = 0.9  # of the proposals: ten of them buy one evaluation
WINDOW = 100  # proposals


@dataclass(frozen=True, slots=True)
class Shares:
    """A search at one step, in figures that mean the same in every space.

    Args:
        step: after which.
        entropy: of the choices, over that of equally likely options; 1 at the start, 0 where all is decided.
        latency: expected latency over the target, or over the nearest latency that the space has.
        removed: mean probability of removal of the layers that may be removed; None where none may.
    """

    step: int
    entropy: float
    latency: float
    removed: float | None = None

    def to_json(self) -> dict[str, float | None]:
        """The figures of a row of metrics, which has the step already."""
        return {"entropy": self.entropy, "latency": self.latency, "removed": self.removed}

    @staticmethod
    def from_json(step: Any, data: Any) -> Shares:
        """The inverse of `to_json`.

        Raises:
            FileFormatError: a field is missing, or no number.
        """
        with fields_of("field 'shares' of a row of metrics"):
            removed = None if data["removed"] is None else float(data["removed"])
            found = Shares(int(step), float(data["entropy"]), float(data["latency"]), removed)
            if not all(math.isfinite(value) for value in (found.entropy, found.latency, found.removed or 0.0)):
                raise ValueError("expected finite numbers")
        return found


@dataclass(frozen=True)
class Watch:
    """What the figures of a search are held against.

    Args:
        removal: the option that removes its layer, by choice; choices without one are left out.
        target_ms: the target, or the nearest latency that the space has.
    """

    removal: Mapping[str, str]
    target_ms: float

    @staticmethod
    def over(space: PathSpace, terms: CostTerms, target_ms: float) -> Watch:
        """The watch over a search of a space; a target that no network can reach is no fault of the search."""
        removal = {
            slot.choice: str(option)
            for slot in space.chain()
            if isinstance(slot, Slot)
            for option, layer in slot.options.items()
            if isinstance(layer, Zero)
        }
        return Watch(removal, min(max(target_ms, terms.least()), terms.greatest()))

    def shares(self, step: int, probabilities: Mapping[str, Mapping[str, float]], expected_ms: float) -> Shares:
        """The figures at a step.

        Args:
            step: after which.
            probabilities: of every option of every choice.
            expected_ms: over these probabilities.
        """
        removed = [probabilities[choice][option] for choice, option in self.removal.items()]
        mean = math.fsum(removed) / len(removed) if removed else None
        rows = [list(options.values()) for options in probabilities.values()]
        return Shares(step, entropy_share(rows), expected_ms / self.target_ms, mean)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the course of a search that its result should not be read without.

    Args:
        name: "settled-early", "layers-removed", "latency-off", "nothing-learned" or "controller-settled".
        step: when it was so, or since when.
        figures: the numbers that it rests on.
        says: one sentence.
        advice: what to do, one sentence.
    """

    name: str
    step: int
    figures: Mapping[str, float]
    says: str
    advice: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        figures = dict(self.figures)
        return {"name": self.name, "step": self.step, "figures": figures, "says": self.says, "advice": self.advice}


def entropy_share(rows: Iterable[Sequence[float]]) -> float:
    """Entropy of several distributions, over that of uniform ones: 1 where nothing is decided, 0 where all is.

    Args:
        rows: the probabilities of each choice; one with a single option decides nothing and does not count.
    """
    known = [row for row in rows if len(row) > 1]
    entropy = -math.fsum(p * math.log(p) for row in known for p in row if p > 0)
    most = math.fsum(math.log(len(row)) for row in known)
    return entropy / most if most else 0.0


def findings(course: Sequence[Shares], learning_from: int, steps: int) -> list[Finding]:
    """What is wrong with the course of a gradient search; nothing where it went as it should.

    Args:
        course: by rising step.
        learning_from: the step after which the choices begin to learn.
        steps: of the search in all; where that is not more, nothing was to be learned, and nothing is found.
    """
    learned = [shares for shares in course if shares.step > learning_from]
    if not learned:
        return []
    found = [_settled_early(learned, learning_from, steps), _layers_removed(learned), _latency_off(learned[-1]),
             _nothing_learned(learned[-1])]  # fmt: skip
    return [finding for finding in found if finding]


def controller_settled(proposals: int, repeats: int, window: int, evaluated: int, evaluations: int) -> Finding | None:
    """Whether a black-box controller has settled while there was something left to spend.

    Args:
        proposals: so far.
        repeats: how many of the last `window` had been proposed before.
        window: WINDOW or more; fewer are too few to tell.
        evaluated: distinct networks so far.
        evaluations: how many were allowed.
    """
    if window < WINDOW or repeats < REPEATED * window or evaluated >= evaluations:
        return None
    return Finding(
        "controller-settled", proposals,
        {"repeats": repeats, "window": window, "evaluated": evaluated, "evaluations": evaluations},
        f"The controller has settled: {repeats:,} of the last {window:,} proposals were repeats, and {evaluated:,} of "
        f"{evaluations:,} networks were evaluated.",
        "Use a lower learning rate or some entropy weight, a reward without a step at the limit, or evolution, which "
        "goes on to new networks.",
    )  # fmt: skip


def _settled_early(learned: Sequence[Shares], learning_from: int, steps: int) -> Finding | None:
    first = next((shares for shares in learned if shares.entropy <= DECIDED), None)
    if first is None or learned[-1].entropy > DECIDED:  # it opened again
        return None
    done = (first.step - learning_from) / (steps - learning_from)
    if done >= EARLY:
        return None
    return Finding(
        "settled-early", first.step, {"entropy": first.entropy, "done": done},
        f"The gates were decided at step {first.step:,}, after {_percent(done)} of the architecture steps (entropy "
        f"{_percent(first.entropy)} of its maximum): by weights that had hardly been trained.",
        "Give the weights more steps (--search-steps or --effort), or take a smaller --loss-weight.",
    )  # fmt: skip


def _layers_removed(learned: Sequence[Shares]) -> Finding | None:
    """Nearly all removed is right where the target asks for it, and a collapse where it leaves room for layers."""
    last = learned[-1]
    if last.removed is None or last.removed < REMOVED or last.latency >= 1 - OFF:
        return None
    since = last
    for shares in reversed(learned):
        if shares.removed is None or shares.removed < REMOVED:
            break
        since = shares
    return Finding(
        "layers-removed", since.step, {"removed": last.removed, "latency": last.latency},
        f"From step {since.step:,} on the search removes every layer that may be removed (probability "
        f"{_percent(last.removed)} at the end), though that uses {_percent(last.latency)} of the target.",
        "The latency term outweighs the loss: take --loss absolute, which also pulls up to the target, or a smaller "
        "--loss-weight.",
    )  # fmt: skip


def _latency_off(last: Shares) -> Finding | None:
    if abs(last.latency - 1) <= OFF:
        return None
    above = last.latency > 1
    return Finding(
        "latency-off", last.step, {"latency": last.latency},
        f"At the end the expected latency is {_percent(last.latency)} of the target: the gates are not those of "
        f"networks that {'keep the budget' if above else 'use the budget'}.",
        "Search longer (--search-steps or --effort), or take a larger --loss-weight." if above else
        "Take --loss absolute, which also pulls up to the target, or a smaller --loss-weight; or search longer.",
    )  # fmt: skip


def _nothing_learned(last: Shares) -> Finding | None:
    if last.entropy < UNIFORM:
        return None
    return Finding(
        "nothing-learned", last.step, {"entropy": last.entropy},
        f"At the end the gates are as good as undecided (entropy {_percent(last.entropy, 1)} of its maximum): the "
        "network was chosen among random ones.",
        "Search longer: --search-steps or --effort.",
    )  # fmt: skip


def _percent(share: float, places: int = 0) -> str:
    return f"{100 * share:.{places}f} %"
