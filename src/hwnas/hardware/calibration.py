"""From layers timed alone to layers in a network: a Bayesian ridge with few, interpretable unknowns.

A layer alone pays what it does not pay inside a network (the call, bringing its values into the engine's own layout
and out again) and misses what it pays there (caches filled by its neighbours). So

    latency = constant + Σ over layers of price
    price   = scale · isolated + overhead + per_value · values read and written + deviation · isolated

with Gaussian priors: scale near 1, the rest near 0, one deviation per layer with a spread of 8 %. About ten networks
fix the shared unknowns; each further network measured teaches the deviations of its layers. Networks measured after
profiling share one more unknown, a factor near 1: the processor may have become slower or faster since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.core.errors import InputError

NOISE = 0.03  # relative standard deviation of one measured latency, 1.5 to 3 % on a busy machine
SCALE_SD = 0.5  # isolated sums lie 0.6 to 1.2 times a network's latency
CONSTANT_SD = 0.3  # of the mean latency
OVERHEAD_SD = 0.2  # of the median isolated layer
PER_VALUE_SD = 0.2  # of the isolated sum by the values it moves
DEVIATION_SD = 0.08  # of a layer, beyond what the shared unknowns explain
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


@dataclass(frozen=True, slots=True)
class Calibration:
    """Latency = constant_ms + Σ price_ms[layer]."""

    constant_ms: float
    price_ms: Mapping[str, float]

    def predict(self, layers: Mapping[str, int]) -> float:
        """The latency in ms of a network with so many of each layer."""
        return self.constant_ms + sum(count * self.price_ms[key] for key, count in layers.items())

    def scaled(self, factor: float) -> Calibration:
        """Everything times one factor."""
        return Calibration(self.constant_ms * factor, {key: price * factor for key, price in self.price_ms.items()})


def calibrate(table: Mapping[str, LayerTime], observations: Sequence[Observation]) -> Calibration:
    """The posterior mean given every observation, raised where a network that missed would be predicted too low.

    Without observations prices are the isolated latencies.

    Args:
        table: every layer by key.
        observations: their layers must be in the table.

    Raises:
        InputError: latencies that no numbers fit; a file may hold them, a measurement does not.
    """
    profiled = _posterior_mean(table, [row for row in observations if not row.later])
    fitted = _posterior_mean(table, observations, profiled)
    predicted = [(row.measured_ms, fitted.predict(row.layers)) for row in observations if row.missed]
    return fitted.scaled(max([1.0, *(measured / found for measured, found in predicted if found > 0)]))


def _posterior_mean(
    table: Mapping[str, LayerTime], observations: Sequence[Observation], profiled: Calibration | None = None
) -> Calibration:
    """The Gaussian posterior's mean; `profiled` says what later networks would take had the processor not changed."""
    latency = np.asarray([row.measured_ms for row in observations])
    counts = np.asarray([[row.layers.get(key, 0) for key in table] for row in observations]).reshape(-1, len(table))
    before = [profiled.predict(row.layers) if profiled and row.later else 0.0 for row in observations]
    isolated = np.asarray([row.isolated_ms for row in table.values()])
    per_layer = _unknowns_per_layer(isolated, np.asarray([row.edge_values for row in table.values()], dtype=float))

    # One column per unknown in units of its prior deviation: the prior is then the identity, and nothing ill-scaled.
    constant = CONSTANT_SD * (latency.mean() if len(latency) else 0.0)
    columns = [np.full(len(latency), constant), DRIFT_SD * np.asarray(before), *(counts @ per_layer.T).T]
    design = np.stack(columns, axis=1)
    rest = latency - counts @ isolated  # what the prior mean, the plain isolated sum, leaves to explain
    weighted = design / (NOISE * latency)[:, None] ** 2
    try:
        unknowns = np.linalg.solve(design.T @ weighted + np.eye(design.shape[1]), weighted.T @ rest)
    except np.linalg.LinAlgError:
        raise InputError(
            "no latency model fits: the latencies of layers and networks contradict each other beyond the precision of "
            "numbers; profile again"
        ) from None

    prices = np.maximum(isolated + unknowns[2:] @ per_layer, 0.0)  # no layer gives time back
    fitted = Calibration(float(unknowns[0] * constant), dict(zip(table, prices.tolist(), strict=True)))
    return fitted.scaled(1 + DRIFT_SD * float(unknowns[1]))


def _unknowns_per_layer(isolated: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What each unknown adds to each layer's price at one prior deviation, (unknowns, layers)."""
    scale = SCALE_SD * isolated
    overhead = np.full_like(isolated, OVERHEAD_SD * np.median(isolated))
    per_value = PER_VALUE_SD * values * isolated.sum() / max(values.sum(), 1.0)
    return np.concatenate([np.stack([scale, overhead, per_value]), np.diag(DEVIATION_SD * isolated)])
