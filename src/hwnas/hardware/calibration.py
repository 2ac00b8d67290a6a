"""From layers timed alone to layers in a network: a Bayesian ridge with few, interpretable unknowns.

A layer alone pays what it does not pay inside a network (the call, bringing its values into the engine's own layout
and out again) and misses what it pays there (caches filled by its neighbours). So

    latency = constant + Σ over layers of price
    price   = scale · isolated + overhead + per_value · values read and written + deviation · isolated

with Gaussian priors: scale near 1, the rest near 0, one deviation per layer with a spread of 8 %. About ten networks
fix the shared unknowns; each further network measured teaches the deviations of its layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

NOISE = 0.03  # relative standard deviation of one measured latency, 1.5 to 3 % on a busy machine
SCALE_SD = 0.5  # isolated sums lie 0.6 to 1.2 times a network's latency
CONSTANT_SD = 0.3  # of the mean latency
OVERHEAD_SD = 0.2  # of the median isolated layer
PER_VALUE_SD = 0.2  # of the isolated sum by the values it moves
DEVIATION_SD = 0.08  # of a layer, beyond what the shared unknowns explain


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
        missed: whether it was predicted too low where that mattered; from then on no prediction for it is lower.
    """

    network: str
    layers: Mapping[str, int]
    measured_ms: float
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
    """
    fitted = _posterior_mean(table, observations)
    factors = [row.measured_ms / fitted.predict(row.layers) for row in observations if row.missed]
    return fitted.scaled(max([1.0, *factors]))


def _posterior_mean(table: Mapping[str, LayerTime], observations: Sequence[Observation]) -> Calibration:
    keys = list(table)
    isolated = np.asarray([table[key].isolated_ms for key in keys])
    values = np.asarray([table[key].edge_values for key in keys], dtype=float)
    counts = np.asarray([[row.layers.get(key, 0) for key in keys] for row in observations]).reshape(-1, len(keys))
    latency = np.asarray([row.measured_ms for row in observations])

    # One column per unknown in units of its prior deviation: the prior is then the identity, and nothing ill-scaled.
    shared = np.stack([isolated, np.full_like(isolated, np.median(isolated)), values * isolated.sum() / values.sum()])
    per_layer = np.concatenate(
        [shared * np.asarray([[SCALE_SD], [OVERHEAD_SD], [PER_VALUE_SD]]), np.diag(DEVIATION_SD * isolated)]
    )
    constant = CONSTANT_SD * (latency.mean() if len(latency) else 0.0)
    design = np.concatenate([np.full((len(latency), 1), constant), counts @ per_layer.T], axis=1)
    rest = latency - counts @ isolated  # what the prior mean, the plain isolated sum, leaves to explain
    weighted = design / (NOISE * latency)[:, None] ** 2
    unknowns = np.linalg.solve(design.T @ weighted + np.eye(design.shape[1]), weighted.T @ rest)
    prices = np.maximum(isolated + unknowns[1:] @ per_layer, 0.0)  # no layer gives time back
    return Calibration(float(unknowns[0] * constant), dict(zip(keys, prices.tolist(), strict=True)))
