"""Predicting accuracies from choices: ridge regression, a Gaussian process, and Once-for-All's perceptron.

All read the same row for a network, one-hot over the live choices (`ChoiceSpace.encode`), and none sees an image: they
learn from networks whose accuracy is known, and are as good as those are many. docs/predictors.md has figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import InputError
from hwnas.core.predictor import AccuracyPredictor, Prediction
from hwnas.core.seeds import seed_for

# Of the Gaussian process: squared length scales by how many choices are live, and noise by signal variance.
_SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_NOISES = tuple(10.0 ** (power / 2) for power in range(-8, 3))
_NO_SPREAD = 1e-12  # accuracies that differ by less do not differ
_EPOCHS = 100


@dataclass(frozen=True)
class Fitted:
    """A predictor that has learned.

    Args:
        space: of the networks.
        read: means, and deviations or None, of rows (networks, options).
    """

    space: ChoiceSpace
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]

    def predict(self, architectures: Sequence[Architecture]) -> Prediction:
        """What is expected of each."""
        return Prediction(*self.read(_rows(self.space, architectures)))


@dataclass(frozen=True)
class RidgePredictor:
    """Linear in the options; how strongly weights are pulled to zero is learned from the evidence.

    Source: MacKay 1992, "Bayesian Interpolation", as scikit-learn's BayesianRidge.
    """

    space: ChoiceSpace
    name: str = "ridge"

    def fit(self, architectures: Sequence[Architecture], accuracies: Sequence[float]) -> Fitted:
        """Learns; the deviations are those of a new training, noise included."""
        from sklearn.linear_model import BayesianRidge

        rows, targets, back = _standardised(self.space, architectures, accuracies)
        model = BayesianRidge().fit(rows, targets)
        return Fitted(self.space, lambda asked: back(*model.predict(asked, return_std=True)))


@dataclass(frozen=True)
class GaussianProcessPredictor:
    """A Gaussian process whose correlation of two networks falls with the number of options that they do not share.

    For one-hot rows the usual RBF kernel is exp(−(options that differ) / ℓ²), a product over choices: all interactions,
    the fewer choices in one the stronger. A long ℓ is nearly linear.

    Source: Rasmussen, Williams 2006, "Gaussian Processes for Machine Learning", equations 2.25, 2.26 and 5.8.
    Differs: ℓ and the share of noise are the likeliest of a grid, of 66 pairs, and the variance is the likeliest in
    closed form. One eigendecomposition serves all noises of one ℓ, so that a fit takes a fraction of what descending
    the likelihood takes (scikit-learn's GaussianProcessRegressor), finds no local optimum, and never depends on where
    it began.
    """

    space: ChoiceSpace
    name: str = "gaussian-process"

    def fit(self, architectures: Sequence[Architecture], accuracies: Sequence[float]) -> Fitted:
        """Learns; the deviations are those of the accuracy itself, without noise."""
        rows, targets, back = _standardised(self.space, architectures, accuracies)
        distances, live = _differing(rows, rows), float(rows.sum(axis=1).mean())
        best = max((_likeliest(distances, live * scale, targets) for scale in _SCALES), key=lambda one: one.evidence)
        weights = best.vectors @ (best.vectors.T @ targets / best.values)

        def read(asked: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
            near = np.exp(-_differing(asked, rows) / best.square)
            explained = ((near @ best.vectors) ** 2 / best.values).sum(axis=1)
            return back(near @ weights, np.sqrt(best.variance * np.maximum(1.0 - explained, _NO_SPREAD)))

        return Fitted(self.space, read)


@dataclass(frozen=True)
class PerceptronPredictor:
    """Three hidden layers of 400 ReLU, trained by Adam with rate 1e-3 and weight decay 1e-4.

    Source: Cai, Gan, Wang, Zhang, Han 2020, "Once-for-All", section 3.4 and its released predictor.
    Differs: scikit-learn's MLPRegressor, on accuracies scaled to mean 0 and deviation 1, for `_EPOCHS` epochs in
    batches of 32. It has no deviations.
    """

    space: ChoiceSpace
    seed: int = 0
    name: str = "perceptron"

    def fit(self, architectures: Sequence[Architecture], accuracies: Sequence[float]) -> Fitted:
        """Learns."""
        from sklearn.neural_network import MLPRegressor

        rows, targets, back = _standardised(self.space, architectures, accuracies)
        state = seed_for(self.seed, "perceptron") % 2**32
        model: Any = MLPRegressor(
            hidden_layer_sizes=(400, 400, 400), alpha=1e-4, learning_rate_init=1e-3, batch_size=min(32, len(rows)),
            random_state=state,
        )  # fmt: skip
        rows, targets = rows.astype(np.float32), targets.astype(np.float32)
        for _ in range(_EPOCHS):
            model.partial_fit(rows, targets)
        return Fitted(self.space, lambda asked: back(model.predict(asked.astype(np.float32)), None))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How good a predictor is on networks that it did not learn from.

    Args:
        rmse_points: root of the mean squared error, percentage points.
        mae_points: mean of the absolute error, percentage points.
        kendall_tau: rank agreement, −1 to 1 (tau-b); 0 where nothing varies.
    """

    rmse_points: float
    mae_points: float
    kendall_tau: float


def held_out(predicted: np.ndarray, accuracies: np.ndarray) -> HeldOut:
    """Compares predictions (networks,) with the accuracies, both 0 to 1, of networks that were held out."""
    from scipy.stats import kendalltau

    errors = 100 * (predicted - accuracies)
    varies = np.ptp(predicted) > 0 and np.ptp(accuracies) > 0
    tau = float(kendalltau(predicted, accuracies).statistic) if varies else 0.0
    return HeldOut(float(np.sqrt((errors**2).mean())), float(np.abs(errors).mean()), tau)


PREDICTORS: dict[str, Callable[[ChoiceSpace], AccuracyPredictor]] = {
    "ridge": RidgePredictor,
    "gaussian-process": GaussianProcessPredictor,
    "perceptron": PerceptronPredictor,
}


@dataclass(frozen=True)
class _Process:
    """A Gaussian process with these parameters: K + noise = vectors · diag(values) · vectorsᵀ, times the variance."""

    evidence: float
    square: float  # ℓ²
    variance: float
    values: np.ndarray
    vectors: np.ndarray


def _likeliest(distances: np.ndarray, square: float, targets: np.ndarray) -> _Process:
    """The process of this ℓ² whose noise and variance make the targets likeliest."""
    values, vectors = np.linalg.eigh(np.exp(-distances / square))
    along = (vectors.T @ targets) ** 2
    found = []
    for noise in _NOISES:
        noisy = np.maximum(values, 0.0) + noise
        variance = max(float((along / noisy).mean()), _NO_SPREAD)
        evidence = -0.5 * (len(targets) * np.log(variance) + np.log(noisy).sum())
        found.append(_Process(float(evidence), square, variance, noisy, vectors))
    return max(found, key=lambda one: one.evidence)


def _differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(rows of a, rows of b): half of how many entries differ, which is how many options of always live choices do."""
    differing: np.ndarray = (a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - 2 * (a @ b.T)) / 2
    return differing


def _rows(space: ChoiceSpace, architectures: Sequence[Architecture]) -> np.ndarray:
    rows: np.ndarray = np.stack([space.encode(arch) for arch in architectures]).astype(np.float64)
    return rows


def _standardised(
    space: ChoiceSpace, architectures: Sequence[Architecture], accuracies: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, Callable[..., tuple[np.ndarray, np.ndarray | None]]]:
    """Rows, targets of mean 0 and deviation 1, and what makes accuracies of predictions again."""
    known = np.asarray(accuracies, dtype=np.float64)
    if len(known) != len(architectures) or len(known) < 2 or not np.isfinite(known).all():
        raise InputError(
            f"a predictor learns from two networks or more with a finite accuracy each, not from {len(architectures)} "
            f"networks and {len(known)} accuracies"
        )
    mean, spread = float(known.mean()), max(float(known.std()), _NO_SPREAD)

    def back(means: np.ndarray, deviations: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        return mean + spread * means, None if deviations is None else spread * deviations

    return _rows(space, architectures), (known - mean) / spread, back
