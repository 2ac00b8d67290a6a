"""An LSTM over the choices, learned by PPO or by the plain policy gradient: the controller of NASNet and MnasNet.

Source: Zoph, Vasudevan, Shlens, Le 2018 (NASNet): a one-layer LSTM of 100 units, a softmax for every decision, weights
from U(−0.1, 0.1), PPO on mini-batches of 20, a moving average of the scores as the baseline. MnasNet (Tan et al. 2019)
has the same. The plain policy gradient is that of Zoph, Le 2017.
Differs:
- learning rate, mini-batch and entropy bonus are for hundreds of evaluations, not for 20,000; `NASNET` has the paper's;
- neither clip nor epochs are stated: the clip is that of Schulman et al. 2017, both learners use Adam;
- each decision has a ratio of its own, clipped on its own: one ratio for dozens of decisions would be clipped before
  any of them had moved far;
- the moving average is zero-debiased, takes in every score in order, and those of a mini-batch before they are judged;
- Zoph, Le 2017 have two layers of 35 units, where both learners have the same network here.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from hwnas.controllers.decisions import Decisions, Drawn
from hwnas.controllers.identity import (
    LARGEST_SCORE,
    Identity,
    Scored,
    best_of,
    check_scores,
    delivered,
    scored_from_json,
    scored_to_json,
    whole,
)  # fmt: skip
from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import InputError, fields_of
from hwnas.core.seeds import rng_for

_LARGEST_WEIGHT = 1e9
# Adam's mean of gradients is below 7.3 times the root of its mean of squares, whatever the gradients were (β1 = 0.9,
# β2 = 0.999); squares below 1e-300 may have become zero.
_MOST_OF_ROOT, _SMALLEST_ROOT = 8.0, 1e-150


@dataclass(frozen=True, slots=True)
class RecurrentSettings:
    """What can be set about the controller.

    The defaults are those of PPO for hundreds of evaluations, chosen by benchmarks/controller_settings.py.

    Args:
        lr: learning rate of Adam, above zero, at most 1.
        entropy_weight: what a nat of entropy of each decision adds to the objective, 0 to 1000.
        baseline_decay: of the scores' moving average, 0 to below 1.
        batch: scores that make a mini-batch, at least 1.
        epochs: steps on each mini-batch, at least 1; 1 for the plain policy gradient, which holds where it was drawn.
        clip: ε of PPO, above 0 and below 1; None for the plain policy gradient.
        hidden: units of the LSTM, 1 to 4096.

    Raises:
        InputError: a value out of range.
    """

    lr: float = 0.001
    entropy_weight: float = 1e-5
    baseline_decay: float = 0.95
    batch: int = 10
    epochs: int = 5
    clip: float | None = 0.2
    hidden: int = 100

    def __post_init__(self) -> None:
        if not (0 < self.lr <= 1 and 0 <= self.entropy_weight <= 1000 and 0 <= self.baseline_decay < 1):
            raise InputError(f"an LSTM controller needs 0 < lr <= 1, 0 <= entropy <= 1000, 0 <= decay < 1, not {self}")
        if not (self.batch >= 1 and self.epochs >= 1 and 1 <= self.hidden <= 4096):
            raise InputError(f"an LSTM controller needs batch >= 1, epochs >= 1, 1 <= hidden <= 4096, not {self}")
        if self.clip is None and self.epochs != 1:
            raise InputError(f"the plain policy gradient has one epoch, not {self.epochs}: give a clip for PPO")
        if self.clip is not None and not 0 < self.clip < 1:
            raise InputError(f"PPO needs a clip between 0 and 1, not {self.clip}")


# For 20,000 evaluations. As stated, but for the clip, which is that of PPO's paper, and the epochs, which are ours.
NASNET = RecurrentSettings(lr=0.00035, entropy_weight=1e-5, baseline_decay=0.95, batch=20, epochs=5, clip=0.2)
POLICY_GRADIENT = RecurrentSettings(lr=0.005, epochs=1, clip=None)


class RecurrentController:
    """Proposes what its LSTM draws, and learns whenever a mini-batch of scores is whole.

    Args:
        space: what is proposed from.
        seed: everything random is drawn from it.
        settings: how.
    """

    def __init__(self, space: ChoiceSpace, seed: int, settings: RecurrentSettings | None = None) -> None:
        # Torch, which takes a second to load, for whoever makes one: settings and names do without.
        from hwnas.controllers.lstm import LstmPolicy

        own = self._settings = settings or RecurrentSettings()
        self._identity = Identity("recurrent", space, seed, own)
        self._decisions = Decisions(space)
        self.policy = LstmPolicy(self._decisions, own.hidden, own.lr, rng_for(seed, "recurrent", "weights"))
        # Drawn and not scored: the first `_dealt` were proposed, the others wait to be.
        self._drawn: deque[Drawn] = deque()
        self._dealt = 0
        self._batch: list[tuple[Drawn, float]] = []  # scored, and not learned from
        self._baseline = 0.0  # biased towards the zero from which it began
        self._proposed = self._observed = self._updates = 0
        self._best: Scored | None = None

    def propose(self, count: int) -> list[Architecture]:
        """Independent draws; what was drawn before may come again.

        The rest of a mini-batch is drawn in one pass, and dealt as it is asked for.
        """
        ahead = len(self._drawn) - self._dealt
        if count > ahead:
            rest = self._settings.batch - len(self._batch) - len(self._drawn)
            first = self._proposed + ahead
            points = [self._points(at) for at in range(first, first + max(count - ahead, rest))]
            self._drawn.extend(self.policy.draw(np.array(points)))
        proposed = [one.architecture for one in islice(self._drawn, self._dealt, self._dealt + count)]
        self._dealt += count
        self._proposed += count
        return proposed

    def observe(self, scored: Sequence[Scored]) -> None:
        """Collects scores; learns each time that a mini-batch is whole."""
        check_scores(scored)
        space, settings = self._identity.space, self._settings
        known = [(space.canonical(arch), score) for arch, score in scored]
        self._best = best_of(self._best, known)
        for arch, score in known:
            self._batch.append((self._as_proposed(arch), score))
            self._observed += 1
            self._baseline += (1 - settings.baseline_decay) * (score - self._baseline)
            if len(self._batch) == settings.batch:
                self._learn()

    def best_guess(self) -> Architecture:
        """The best that was observed: the papers train the best of what was sampled."""
        return delivered(self._best)

    def log_probability(self, arch: Architecture) -> float:
        """The logarithm of an architecture's probability, summed over its decisions."""
        return math.fsum(self.policy.judged(arch).log_probabilities)

    def state_dict(self) -> dict[str, Any]:
        """Weights, Adam's averages, the baseline, what was drawn and what was scored since the last step."""
        rows = self.policy.values().items()
        packed = {name: base64.b64encode(row.astype("<f8").tobytes()).decode() for name, row in rows}
        learned = {
            "proposed": self._proposed, "observed": self._observed, "updates": self._updates,
            "baseline": self._baseline, "best": scored_to_json(self._best) if self._best else None,
            "dealt": self._dealt, "drawn": [_drawn_to_json(one) for one in self._drawn],
            "batch": [[*_drawn_to_json(one), score] for one, score in self._batch], **packed,
        }  # fmt: skip
        return self._identity.state(learned)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state."""
        self._identity.check(state)
        with fields_of("state of an LSTM controller"):
            space = self._identity.space
            proposed, observed, updates = (whole(state[name]) for name in ("proposed", "observed", "updates"))
            baseline = float(state["baseline"])
            if not abs(baseline) <= LARGEST_SCORE:
                raise ValueError("expected a finite baseline")
            best = scored_from_json(state["best"], space) if state["best"] is not None else None
            drawn = [self._drawn_from_json(one) for one in state["drawn"]]
            dealt = whole(state["dealt"], len(drawn))
            batch = [
                (self._drawn_from_json([arch, logs]), scored_from_json([arch, score], space)[1])
                for arch, logs, score in state["batch"]
            ]
            if len(batch) >= self._settings.batch:
                raise ValueError(f"expected fewer than {self._settings.batch} scores since the last step")
            rows = self._rows_from_json(state)
        self.policy.go_on_from(rows, updates * self._settings.epochs)
        self._drawn, self._dealt, self._batch, self._baseline = deque(drawn), dealt, batch, baseline
        self._proposed, self._observed, self._updates, self._best = proposed, observed, updates, best

    def _points(self, number: int) -> np.ndarray:
        """Uniform draws for the choices of the proposal of that number."""
        return rng_for(self._identity.seed, "recurrent", number).random(len(self._decisions.counts))

    def _as_proposed(self, arch: Architecture) -> Drawn:
        """An architecture with its probabilities when it was proposed; with those of now where it never was.

        Scores come in the order of proposals: what was proposed before it, and has no score, will get none.
        """
        for place, one in enumerate(islice(self._drawn, self._dealt)):
            if one.architecture == arch:
                for _ in range(place + 1):
                    self._drawn.popleft()
                self._dealt -= place + 1
                return one
        return self.policy.judged(arch)

    def _learn(self) -> None:
        settings = self._settings
        average = self._baseline / (1 - settings.baseline_decay**self._observed)
        advantages = [score - average for _, score in self._batch]
        self.policy.learn(
            [one for one, _ in self._batch], advantages, settings.entropy_weight, settings.epochs, settings.clip
        )
        self._updates += 1
        self._batch = []
        while len(self._drawn) > self._dealt:  # drawn by the policy as it was, and not proposed yet
            self._drawn.pop()

    def _drawn_from_json(self, data: Any) -> Drawn:
        """Reads what `_drawn_to_json` wrote."""
        arch, logs = data
        read = self._identity.space.canonical(Architecture.from_json(arch))
        decided = len(self._decisions.of(read))
        log_probabilities = tuple(float(one) for one in logs)
        if len(log_probabilities) != decided or not all(-math.inf < one <= 0 for one in log_probabilities):
            raise ValueError(f"expected {decided} logarithms of probabilities for architecture {read.id}")
        return Drawn(read, log_probabilities)

    def _rows_from_json(self, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The weights and Adam's averages, such that every step that follows is one that Adam could take."""
        rows = {}
        for name, own in self.policy.values().items():
            try:
                packed = base64.b64decode(state[name], validate=True)
            except binascii.Error:
                packed = b""
            if len(packed) != 8 * own.size:
                raise ValueError(f"{name}: expected {own.size} float64 values in base64")
            rows[name] = np.frombuffer(packed, dtype="<f8").astype(np.float64)
        weights, means, squares = rows["weights"], rows["means"], rows["squares"]
        if not np.abs(weights).max() <= _LARGEST_WEIGHT:
            raise ValueError("weights: expected finite values")
        if not (squares.min() >= 0 and squares.max() < math.inf):
            raise ValueError("squares: expected finite values, none below zero")
        if not (np.abs(means) <= _MOST_OF_ROOT * np.sqrt(squares) + _SMALLEST_ROOT).all():
            raise ValueError("means: expected averages that belong to the squares")
        return rows


def _drawn_to_json(one: Drawn) -> list[Any]:
    return [one.architecture.to_json(), list(one.log_probabilities)]
