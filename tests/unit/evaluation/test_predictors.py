"""Predictors against what is known: scikit-learn's Gaussian process, truths that are sums, figures by hand."""

from __future__ import annotations

from math import log, pi

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.errors import InputError
from hwnas.core.seeds import rng_for
from hwnas.evaluation.predictors import (
    PREDICTORS,
    GaussianProcessPredictor,
    PerceptronPredictor,
    RidgePredictor,
    _differing,
    _likeliest,
    held_out,
)
from hwnas.testing.controllers import SPACE

WIDE = ChoiceSpace("wide@1", tuple(Choice(f"c{place}", tuple(range(4))) for place in range(12)))


def additive(arch: Architecture) -> float:
    """From 0.5 to 0.86, a different weight for every choice."""
    return 0.5 + sum(0.01 * int(option) * (place + 1) / 6.5 for place, (_, option) in enumerate(arch.choices))


def drawn(count: int, purpose: str) -> list[Architecture]:
    return [WIDE.sample(rng_for(0, purpose, at)) for at in range(count)]


TRAIN, TEST = drawn(150, "train"), drawn(100, "test")


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_sum_is_learned(name: str) -> None:
    fitted = PREDICTORS[name](WIDE).fit(TRAIN, [additive(arch) for arch in TRAIN])
    truth = np.array([additive(arch) for arch in TEST])
    quality = held_out(fitted.predict(TEST).means, truth)
    assert quality.kendall_tau > 0.8
    assert quality.rmse_points < 0.4 * 100 * truth.std()


@pytest.mark.parametrize("name", PREDICTORS)
def test_equal_lessons_give_equal_predictions(name: str) -> None:
    lessons = TRAIN[:20], [additive(arch) for arch in TRAIN[:20]]
    first, second = (PREDICTORS[name](WIDE).fit(*lessons).predict(TEST) for _ in range(2))
    assert np.array_equal(first.means, second.means)
    assert (first.deviations is None) == (second.deviations is None)


@pytest.mark.parametrize("name", PREDICTORS)
def test_networks_that_are_all_alike_are_predicted_so(name: str) -> None:
    predicted = PREDICTORS[name](WIDE).fit(TRAIN[:5], [0.75] * 5).predict(TEST)
    assert np.allclose(predicted.means, 0.75, atol=1e-9)
    if predicted.deviations is not None:
        assert np.isfinite(predicted.deviations).all()


@pytest.mark.parametrize("accuracies", [[], [0.5], [0.5, float("nan")], [0.5, 0.6, 0.7]])
@pytest.mark.parametrize("name", PREDICTORS)
def test_too_few_or_no_number(name: str, accuracies: list[float]) -> None:
    with pytest.raises(InputError, match="two networks or more"):
        PREDICTORS[name](WIDE).fit(TRAIN[:2] if len(accuracies) > 1 else TRAIN[: len(accuracies)], accuracies)


def test_the_distance_is_how_many_options_differ() -> None:
    a, b = WIDE.architecture({f"c{i}": 0 for i in range(12)}), WIDE.architecture({f"c{i}": i % 2 for i in range(12)})
    rows = np.stack([WIDE.encode(a), WIDE.encode(b)]).astype(float)
    assert _differing(rows, rows).tolist() == [[0, 6], [6, 0]]


def test_the_gaussian_process_is_that_of_scikit_learn() -> None:
    known = np.array([additive(arch) for arch in TRAIN[:40]])
    targets = (known - known.mean()) / known.std()
    rows = np.stack([WIDE.encode(arch) for arch in TRAIN[:40]]).astype(float)
    asked = np.stack([WIDE.encode(arch) for arch in TEST]).astype(float)
    square = 24.0
    own = _likeliest(_differing(rows, rows), square, targets)
    noise = own.values[0] - max(np.linalg.eigvalsh(np.exp(-_differing(rows, rows) / square))[0], 0.0)
    # The squared distance of one-hot rows is twice the number of options that differ: exp(−2n / 2ℓ²) = exp(−n / ℓ²).
    kernel = ConstantKernel(own.variance, "fixed") * RBF(square**0.5, "fixed")
    theirs = GaussianProcessRegressor(kernel, alpha=own.variance * noise, optimizer=None).fit(rows, targets)
    means, deviations = theirs.predict(asked, return_std=True)
    near = np.exp(-_differing(asked, rows) / square)
    assert np.allclose(near @ own.vectors @ (own.vectors.T @ targets / own.values), means, atol=1e-8)
    explained = ((near @ own.vectors) ** 2 / own.values).sum(axis=1)
    assert np.allclose(np.sqrt(own.variance * (1 - explained)), deviations, atol=1e-6)
    # Ours leaves out what is equal for all of the grid: −n/2 · (1 + ln 2π).
    assert own.evidence - 20 * (1 + log(2 * pi)) == pytest.approx(theirs.log_marginal_likelihood_value_)


def test_what_was_learned_is_surer_than_what_was_not() -> None:
    fitted = GaussianProcessPredictor(WIDE).fit(TRAIN[:30], [additive(arch) for arch in TRAIN[:30]])
    known, unknown = fitted.predict(TRAIN[:30]).deviations, fitted.predict(TEST).deviations
    assert known is not None and unknown is not None
    assert known.max() < unknown.min()


def test_choices_that_are_not_live_and_equal_places_are_read() -> None:
    archs = list(SPACE.enumerate())
    truth = [float("kernel" in arch.as_dict()) for arch in archs]
    fitted = RidgePredictor(SPACE).fit(archs[::2], truth[::2])
    assert held_out(fitted.predict(archs[1::2]).means, np.array(truth[1::2])).rmse_points < 1


def test_the_perceptron_is_another_by_seed() -> None:
    lessons = TRAIN[:10], [additive(arch) for arch in TRAIN[:10]]
    first, second = (PerceptronPredictor(WIDE, seed).fit(*lessons).predict(TEST[:5]).means for seed in (0, 1))
    assert not np.allclose(first, second)


def test_figures_by_hand() -> None:
    quality = held_out(np.array([0.5, 0.6, 0.8]), np.array([0.5, 0.64, 0.77]))
    assert quality.rmse_points == pytest.approx((25 / 3) ** 0.5)  # errors of 0, 4 and 3 points
    assert quality.mae_points == pytest.approx(7 / 3)
    assert quality.kendall_tau == pytest.approx(1.0)
    # One pair of three is in the wrong order.
    assert held_out(np.array([1.0, 3.0, 2.0]), np.array([1.0, 2.0, 3.0])).kendall_tau == pytest.approx(1 / 3)
    assert held_out(np.array([0.5, 0.5]), np.array([0.1, 0.2])).kendall_tau == 0.0
