"""Search guided by a predictor: of mutants of the best, those that a model of the scores finds most promising.

Source: White, Neiswanger, Savani 2021, "BANANAS: Bayesian Optimization with Neural Architectures for Neural
Architecture Search": candidates are mutants of the best networks, ranked by an acquisition function of a predictor;
expected improvement of Mockus 1975, as Jones, Schonlau, Welch 1998 write it.
Differs:
- the predictor is passed in, and is a Gaussian process where the paper has an ensemble of perceptrons and Thompson
  sampling;
- what is inside the limits is learned as well: expected improvement times the probability of being inside, after
  Gardner, Kusner, Xu, Weinberger, Cunningham 2014, "Bayesian Optimization with Inequality Constraints". A score below
  zero is that of a network outside, which was not trained (`Limited` in core/objective.py). The probability is a
  logistic regression on the options: a cost that is a sum over choices divides them by a plane;
- in a batch, all are ranked by one model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

import numpy as np
from scipy.special import expit, ndtr

from hwnas.controllers.identity import (
    Identity,
    Scored,
    best_of,
    check_scores,
    delivered,
    scored_from_json,
    scored_to_json,
    whole,
)  # fmt: skip
from hwnas.controllers.random import RandomOrder
from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import InputError, fields_of
from hwnas.core.predictor import AccuracyPredictor, FittedPredictor, Prediction
from hwnas.core.seeds import rng_for

Plane = tuple[np.ndarray, float]
MOST_LEARNED = 500  # scores that a model learns at most, the best and the latest, half each: fits take bounded time
MOST_SEPARATED = 2000  # of the latest, inside or not, that tell where the limits are
REFIT = 50  # models are used until a fiftieth more is known
OUTLIER = 10  # a score lies no further below the median than so many times as the best lies above it
_SMALLEST = 1e-150  # deviation by which can be divided


@dataclass(frozen=True, slots=True)
class GuidedSettings:
    """What can be set about the search.

    The defaults were chosen by benchmarks/controller_settings.py.

    Args:
        founders: random networks to begin with, at least 2.
        parents: how many of the best are mutated, at least 1.
        mutations: a candidate is one to so many mutations from its parent, at least 1.
        candidates: for one proposal, at least as many as `mutations`; a tenth of them more for each further one of a
            batch.
        trust: inverse weight decay of the regression that separates inside from outside, above 0; more makes it surer.

    Raises:
        InputError: a value out of range.
    """

    founders: int = 10
    parents: int = 5
    mutations: int = 3
    candidates: int = 100
    trust: float = 10.0

    def __post_init__(self) -> None:
        counts = self.founders >= 2 and self.parents >= 1 and 1 <= self.mutations <= self.candidates
        if not (counts and 0 < self.trust <= 1e6):
            raise InputError(
                "a guided search needs 2 founders and 1 parent at least, 1 <= mutations <= candidates and "
                f"0 < trust <= 1e6, not {self}"
            )


@dataclass(frozen=True, slots=True)
class _Own:
    """What a guided search is made with, for its identity."""

    search: GuidedSettings
    predictor: str


class GuidedController:
    """Random founders, then the candidates of the largest expected improvement.

    Args:
        space: what is proposed from.
        seed: everything random is drawn from it.
        predictor: learns scores of architectures of the space.
        settings: how.
    """

    def __init__(
        self, space: ChoiceSpace, seed: int, predictor: AccuracyPredictor, settings: GuidedSettings | None = None
    ) -> None:
        self._settings = settings or GuidedSettings()
        self._identity = Identity("guided", space, seed, _Own(self._settings, predictor.name))
        self._predictor = predictor
        self._order = RandomOrder(space, seed)
        self._proposed = 0
        self._observed: list[Scored] = []
        self._known: dict[Architecture, None] = {}  # all that was proposed, in order
        self._best: Scored | None = None
        self._learned = 0  # how many of the observed the models know
        self._models: _Models | None = None

    def propose(self, count: int) -> list[Architecture]:
        """Founders first, then the most promising; fewer or none at the end of the space."""
        founders = min(count, max(0, self._settings.founders - self._proposed))
        proposed: list[Architecture] = []
        if founders < count and len(self._observed) >= 2:
            proposed = self._promising(count - founders)
        for _ in range(count - len(proposed)):
            arch = self._random(proposed)
            if arch is None:
                break
            proposed.append(arch)
        self._proposed += len(proposed)
        self._known.update(dict.fromkeys(proposed))
        return proposed

    def observe(self, scored: Sequence[Scored]) -> None:
        """Remembers all; the models learn them when they are asked next."""
        check_scores(scored)
        self._observed.extend(scored)
        self._known.update(dict.fromkeys(arch for arch, _ in scored))
        self._best = best_of(self._best, scored)

    def best_guess(self) -> Architecture:
        """The best that was observed."""
        return delivered(self._best)

    def state_dict(self) -> dict[str, Any]:
        """All that was observed, what is awaited, and how much of it the models know."""
        observed = dict.fromkeys(arch for arch, _ in self._observed)
        learned = {
            "proposed": self._proposed,
            "dealt": self._order.dealt,
            "learned": self._learned,
            "observed": [scored_to_json(one) for one in self._observed],
            "awaited": [arch.to_json() for arch in self._known if arch not in observed],
        }
        return self._identity.state(learned)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state; the random order and the models are made again."""
        self._identity.check(state)
        with fields_of("state of a guided search"):
            space = self._identity.space
            proposed, dealt = whole(state["proposed"]), whole(state["dealt"], space.size())
            observed = [scored_from_json(one, space) for one in state["observed"]]
            learned = whole(state["learned"], len(observed))
            awaited = [space.canonical(Architecture.from_json(one)) for one in state["awaited"]]
        self._order = RandomOrder(space, self._identity.seed)
        self._order.skip_to(dealt)
        self._proposed, self._learned, self._models = proposed, learned, None
        self._observed, self._best = observed, best_of(None, observed)
        self._known = dict.fromkeys([*(arch for arch, _ in observed), *awaited])

    def _random(self, also: Sequence[Architecture]) -> Architecture | None:
        """A new random network; None at the end of the space."""
        while (arch := self._order.deal()) is not None:
            if arch not in self._known and arch not in also:
                return arch
        return None

    def _promising(self, count: int) -> list[Architecture]:
        """At most so many candidates, the most promising first."""
        candidates = self._candidates(count)
        if not candidates:
            return []
        models = self._fitted()
        predicted, best = models.score.predict(candidates), max(score for _, score in self._observed)
        gains = expected_improvement(predicted, best) * models.inside(candidates)
        order = np.lexsort((-predicted.means, -gains))  # by mean where no gain is left
        return [candidates[int(at)] for at in order[:count]]

    def _candidates(self, count: int) -> list[Architecture]:
        """New mutants of the best; each mutation of a chain that starts from a parent is one."""
        settings, space = self._settings, self._identity.space
        rng = rng_for(self._identity.seed, "guided", self._proposed)
        parents = nlargest(settings.parents, self._observed, key=lambda one: one[1])
        found: dict[Architecture, None] = {}
        for _ in range(settings.candidates * (count + 9) // 10 // settings.mutations):
            child, _ = parents[int(rng.integers(len(parents)))]
            for _ in range(settings.mutations):
                child = space.mutate(child, rng, rate=0.0)
                if child not in self._known:
                    found[child] = None
        return list(found)

    def _fitted(self) -> _Models:
        """The models; new ones when a `REFIT`th more is known than they know."""
        if len(self._observed) - self._learned >= max(1, self._learned // REFIT):
            self._learned, self._models = len(self._observed), None
        if self._models is None:
            lessons = self._observed[: self._learned]
            inside = [one for one in lessons if one[1] >= 0]
            # Until two are inside, the scores outside are learned: they say in which direction the limits are.
            architectures, scores = zip(*most_telling(inside if len(inside) >= 2 else lessons), strict=True)
            score = self._predictor.fit(architectures, without_outliers(scores).tolist())
            known = lessons[-MOST_SEPARATED:] if len(inside) >= 2 else []
            plane = separating_plane(self._identity.space, known, self._settings.trust)
            self._models = _Models(self._identity.space, score, plane)
        return self._models


@dataclass(frozen=True)
class _Models:
    """What was learned of scores inside the limits, and of where the limits are; no plane where nothing divides."""

    space: ChoiceSpace
    score: FittedPredictor
    plane: Plane | None

    def inside(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(architectures,), the probability that each is inside."""
        if self.plane is None:
            return np.ones(len(architectures))
        weights, constant = self.plane
        return np.asarray(expit(_rows(self.space, architectures) @ weights + constant))


def separating_plane(space: ChoiceSpace, lessons: Sequence[Scored], trust: float) -> Plane | None:
    """Weights (options,) and constant whose logistic is the probability of being inside; None where all are alike."""
    inside = [score >= 0 for _, score in lessons]
    if len(set(inside)) < 2:
        return None
    from sklearn.linear_model import LogisticRegression

    rows = _rows(space, [arch for arch, _ in lessons])
    model = LogisticRegression(C=trust, solver="newton-cholesky").fit(rows, inside)
    return model.coef_[0], float(model.intercept_[0])


def most_telling(lessons: list[Scored]) -> list[Scored]:
    """All of them in order; of more than `MOST_LEARNED` the latest half, and the best of those before."""
    half = MOST_LEARNED // 2
    if len(lessons) <= MOST_LEARNED:
        return lessons
    return nlargest(half, lessons[:-half], key=lambda one: one[1]) + lessons[-half:]


def without_outliers(scores: Sequence[float]) -> np.ndarray:
    """The scores, those far below the others raised: a network that failed must not decide how all are scaled."""
    known = np.asarray(scores, dtype=np.float64)
    median = float(np.median(known))
    raised: np.ndarray = np.maximum(known, median - OUTLIER * (known.max() - median))
    return raised


def expected_improvement(predicted: Prediction, best: float) -> np.ndarray:
    """(architectures,), E[max(0, score − best)]; without deviations, what the mean alone promises.

    With u = (mean − best) / deviation it is deviation · (u·Φ(u) + φ(u)).
    """
    if predicted.deviations is None:
        return np.maximum(predicted.means - best, 0.0)
    deviations = np.maximum(predicted.deviations, _SMALLEST)
    u = (predicted.means - best) / deviations
    return np.asarray(deviations * (u * ndtr(u) + np.exp(-u * u / 2) / np.sqrt(2 * np.pi)))


def _rows(space: ChoiceSpace, architectures: Sequence[Architecture]) -> np.ndarray:
    rows: np.ndarray = np.stack([space.encode(arch) for arch in architectures]).astype(np.float64)
    return rows
