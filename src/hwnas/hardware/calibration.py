"""From layers to whole networks: a Bayesian regression with few, interpretable unknowns, whatever a price is made of.

    latency = constant + Σ over layers of price
    price   = mean + Σ over unknowns of unknown · spread

with the unknowns standard normal before any network was measured; a kind of latency model (kinds.py) says what the mean
is and what the unknowns are. Networks measured after profiling share one more unknown, a factor near 1: the processor
may have become slower or faster since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwnas.core.errors import InputError

NOISE = 0.03  # relative standard deviation of one measured latency, 1.5 to 3 % on a busy machine
CONSTANT_SD = 0.3  # of the mean latency
DRIFT_SD = 0.2  # of the factor since profiling: far wider than the rest, so that a miss is first blamed on it


@dataclass(frozen=True, slots=True)
class LayerTime:
    """A layer timed alone.

    Args:
        isolated_ms: its latency, the call included.
        edge_values: how many values it reads and writes.
    """

    isolated_ms: float
    edge_values: int


@dataclass(frozen=True, slots=True)
class Observation:
    """A whole network that was measured.

    Args:
        network: its id.
        layers: how often it has each layer, by key.
        measured_ms: its latency.
        later: whether it was measured after profiling.
        missed: whether it was predicted too low where that mattered; from then on no prediction for it is lower.
    """

    network: str
    layers: Mapping[str, int]
    measured_ms: float
    later: bool = False
    missed: bool = False


class Prior(Protocol):
    """What the price of any layer is made of."""

    def mean_ms(self, keys: Sequence[str]) -> np.ndarray:
        """What each layer is expected to cost before any network was measured, (layers,).

        Raises:
            KeyError: it knows nothing of a layer; its argument is the key.
        """
        ...

    def spread_ms(self, keys: Sequence[str]) -> np.ndarray:
        """What each unknown adds to each layer's price at one standard deviation, (unknowns, layers).

        Raises:
            KeyError: as above.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Latency = constant_ms + Σ price of every layer.

    Args:
        constant_ms: what every network costs besides its layers.
        prior: what a price is made of.
        unknowns: in standard deviations, (unknowns,).
        factor: of every price; it is in the constant already.
    """

    constant_ms: float
    prior: Prior
    unknowns: np.ndarray
    factor: float = 1.0

    def prices_ms(self, keys: Sequence[str]) -> np.ndarray:
        """What each layer costs inside a network, (layers,); no layer gives time back.

        Raises:
            KeyError: nothing is known of a layer; its argument is the key.
        """
        fitted = self.prior.mean_ms(keys) + self.unknowns @ self.prior.spread_ms(keys)
        return self.factor * np.maximum(fitted, 0.0)  # type: ignore[no-any-return]

    def predict(self, layers: Mapping[str, int]) -> float:
        """The latency in ms of a network with so many of each layer."""
        counts = np.fromiter(layers.values(), dtype=float, count=len(layers))
        return self.constant_ms + float(counts @ self.prices_ms(tuple(layers)))

    def scaled(self, factor: float) -> Calibration:
        """Everything times one factor."""
        return Calibration(self.constant_ms * factor, self.prior, self.unknowns, self.factor * factor)


def calibrate(prior: Prior, observations: Sequence[Observation]) -> Calibration:
    """The posterior mean given every observation, raised where a network that missed would be predicted too low.

    Without observations prices are those of the prior.

    Args:
        prior: knows every layer of the observations.
        observations: in any order.

    Raises:
        InputError: latencies that no numbers fit; a file may hold them, a measurement does not.
        KeyError: the prior knows nothing of a layer; its argument is the key.
    """
    profiled = _posterior_mean(prior, [row for row in observations if not row.later])
    fitted = _posterior_mean(prior, observations, profiled)
    predicted = [(row.measured_ms, fitted.predict(row.layers)) for row in observations if row.missed]
    return fitted.scaled(max([1.0, *(measured / found for measured, found in predicted if found > 0)]))


def _posterior_mean(
    prior: Prior, observations: Sequence[Observation], profiled: Calibration | None = None
) -> Calibration:
    """The Gaussian posterior's mean; `profiled` says what later networks would take had the processor not changed."""
    keys = tuple(dict.fromkeys(key for row in observations for key in row.layers))
    latency = np.asarray([row.measured_ms for row in observations])
    shape = len(observations), len(keys)
    counts = np.asarray([[row.layers.get(key, 0) for key in keys] for row in observations]).reshape(shape)
    before = [profiled.predict(row.layers) if profiled and row.later else 0.0 for row in observations]

    # One column per unknown in units of its prior deviation: the prior is then the identity, and nothing ill-scaled.
    constant = CONSTANT_SD * (latency.mean() if len(latency) else 0.0)
    per_unknown = counts @ prior.spread_ms(keys).T
    design = np.column_stack([np.full(len(latency), constant), DRIFT_SD * np.asarray(before), per_unknown])
    rest = latency - counts @ prior.mean_ms(keys)  # what the prior's mean leaves to explain
    weighted = design / (NOISE * latency)[:, None] ** 2
    try:
        unknowns = np.linalg.solve(design.T @ weighted + np.eye(design.shape[1]), weighted.T @ rest)
    except np.linalg.LinAlgError:
        unknowns = np.full(design.shape[1], np.nan)
    if not np.isfinite(unknowns).all():
        raise InputError(
            "no latency model fits: the latencies of layers and networks contradict each other beyond the precision of "
            "numbers; profile again"
        )
    fitted = Calibration(float(unknowns[0] * constant), prior, unknowns[2:])
    return fitted.scaled(1 + DRIFT_SD * float(unknowns[1]))
