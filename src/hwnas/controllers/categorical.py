"""Independent categoricals with REINFORCE: one distribution for each choice, moved towards what scored above average.

Source: Bender et al. 2020, "Can weight sharing outperform random architecture search? An investigation with TuNAS",
and its released code (github.com/google-research/google-research, tunas/): logits from 0, a zero-debiased moving
average of the scores as the baseline, updated before it is used, Adam with β1 = 0.
Differs:
- the learning rate is for hundreds of evaluations, not for a hundred thousand steps, and has no schedule;
- in equal places, what follows a removed layer is no decision: a network has one probability, not that of one of its
  encodings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.controllers.decisions import Decisions
from hwnas.controllers.identity import LARGEST_SCORE, Identity, Scored, check_scores, whole
from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import InputError, fields_of
from hwnas.core.seeds import rng_for

_BETA2, _EPSILON = 0.999, 1e-8  # of Adam


@dataclass(frozen=True, slots=True)
class CategoricalSettings:
    """What can be set about the controller.

    Args:
        lr: learning rate of Adam, above zero, at most 1000. With 0.1 the optimum of `toy` is found on 100 of 100 seeds,
            with 0.2 on 94; faster rates gain little on Once-for-All's predictor (benchmarks/controller_settings.py).
        baseline_decay: of the scores' moving average, 0 to below 1.
        entropy_weight: what a nat of entropy of the live choices adds to the score; 0 as in TuNAS.

    Raises:
        InputError: a value out of range.
    """

    lr: float = 0.1
    baseline_decay: float = 0.95
    entropy_weight: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.lr <= 1000 and 0 <= self.baseline_decay < 1 and 0 <= self.entropy_weight <= 1000):
            raise InputError(f"REINFORCE needs 0 < lr <= 1000, 0 <= decay < 1, 0 <= entropy weight <= 1000, not {self}")


class CategoricalController:
    """A softmax over the options of every choice, learned by REINFORCE.

    Args:
        space: what is proposed from.
        seed: everything random is drawn from it.
        settings: how.
    """

    def __init__(self, space: ChoiceSpace, seed: int, settings: CategoricalSettings | None = None) -> None:
        self._settings = settings or CategoricalSettings()
        self._identity = Identity("reinforce", space, seed, self._settings)
        self._decisions = Decisions(space)
        self.logits = np.zeros(self._decisions.width)  # of all options in a row
        self._squares = np.zeros(self._decisions.width)  # Adam's moving average of squared gradients
        self._baseline = 0.0  # biased towards the zero from which it began
        self._proposed = self._updates = 0

    def propose(self, count: int) -> list[Architecture]:
        """Independent draws; what was drawn before may come again."""
        drawn, p, columns = [], self._probabilities(), self._decisions.columns
        for _ in range(count):
            points = rng_for(self._identity.seed, "reinforce", self._proposed).random(len(columns))
            drawn.append(self._walk(p, dict(zip(columns, points.tolist(), strict=True))))
            self._proposed += 1
        return drawn

    def observe(self, scored: Sequence[Scored]) -> None:
        """One step of Adam on the mean gradient of what was scored together."""
        check_scores(scored)
        if not scored:
            return
        settings = self._settings
        mean = sum(score for _, score in scored) / len(scored)
        self._updates += 1
        self._baseline += (1 - settings.baseline_decay) * (mean - self._baseline)
        average = self._baseline / (1 - settings.baseline_decay**self._updates)
        gradient = sum(self.gradient(arch, score - average) for arch, score in scored) / len(scored)
        self._squares += (1 - _BETA2) * (gradient**2 - self._squares)
        scale = np.sqrt(self._squares / (1 - _BETA2**self._updates)) + _EPSILON
        self.logits += settings.lr * gradient / scale

    def best_guess(self) -> Architecture:
        """The most likely option of every choice, in order."""
        return self._walk(self._probabilities(), None)

    def log_probability(self, arch: Architecture) -> float:
        """The logarithm of an architecture's probability, summed over the choices that were decisions."""
        logs = _log(self._probabilities())
        return float(sum(logs[columns][column] for columns, column in self._decisions.of(arch)))

    def entropy(self, arch: Architecture) -> float:
        """Entropy in nats of the choices that are live in an architecture, summed."""
        p = self._probabilities()
        terms = p * _log(p)
        return float(sum(-terms[columns].sum() for columns, _ in self._decisions.of(arch)))

    def gradient(self, arch: Architecture, advantage: float) -> np.ndarray:
        """∂/∂logits of advantage · ln p(arch) + entropy weight · entropy(arch), a row over all options.

        With p = softmax(z): ∂ln p_i/∂z = onehot_i − p, and ∂H/∂z_j = −p_j·(ln p_j + H).
        """
        p, places = self._probabilities(), self._decisions
        logs = _log(p)
        entropies = -np.add.reduceat(p * logs, places.starts).repeat(places.counts)
        every = -advantage * p - self._settings.entropy_weight * p * (logs + entropies)
        row = np.zeros_like(self.logits)
        for columns, column in places.of(arch):
            row[columns] = every[columns]
            row[columns.start + column] += advantage
        return row

    def state_dict(self) -> dict[str, Any]:
        """Logits, Adam's squares and the baseline."""
        learned = {
            "proposed": self._proposed, "updates": self._updates, "baseline": self._baseline,
            "logits": self.logits.tolist(), "squares": self._squares.tolist(),
        }  # fmt: skip
        return self._identity.state(learned)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state."""
        self._identity.check(state)
        with fields_of("state of a REINFORCE controller"):
            proposed, updates, baseline = whole(state["proposed"]), whole(state["updates"]), float(state["baseline"])
            logits, squares = (np.array(state[name], dtype=np.float64) for name in ("logits", "squares"))
            shapes = logits.shape == squares.shape == self.logits.shape
            usable = shapes and np.abs([baseline, *logits]).max() <= LARGEST_SCORE
            if not (usable and 0 <= squares.min() <= squares.max() <= LARGEST_SCORE**2):
                raise ValueError(f"expected a finite baseline, {len(self.logits)} finite logits and as many squares")
        self._proposed, self._updates, self._baseline = proposed, updates, baseline
        self.logits, self._squares = logits, squares

    def _probabilities(self) -> np.ndarray:
        """Softmax of every choice's logits, all in a row."""
        starts, counts = self._decisions.starts, self._decisions.counts
        most = np.maximum.reduceat(self.logits, starts).repeat(counts)
        powers: np.ndarray = np.exp(self.logits - most)
        shares: np.ndarray = powers / np.add.reduceat(powers, starts).repeat(counts)
        return shares

    def _walk(self, probabilities: np.ndarray, points: Mapping[str, float] | None) -> Architecture:
        """The architecture that these uniform draws give; the most likely one without draws."""
        space = self._identity.space
        chosen: dict[str, Option] = {}
        for choice in space.choices:
            if self._decisions.settle(choice, [chosen]):
                p = probabilities[self._decisions.columns[choice.name]]
                column = int(p.argmax()) if points is None else int((points[choice.name] >= p.cumsum()).sum())
                chosen[choice.name] = choice.options[min(column, len(choice.options) - 1)]
        return space.architecture(chosen)


def _log(p: np.ndarray) -> np.ndarray:
    """The logarithm, finite where an option has no probability left: there p·ln p is zero all the same."""
    logarithms: np.ndarray = np.log(np.maximum(p, 1e-300))
    return logarithms
