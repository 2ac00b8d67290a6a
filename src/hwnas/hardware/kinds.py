"""The kinds of latency model: what the price of a layer is made of. All are additive, and read the same measurements.

layers    every layer has been timed alone; price = scale · isolated + overhead + per_value · values + deviation
features  some layers have been timed alone; price = Σ over what a layer does (features.py) of weight · amount
features by weights   the same with the weights of every kind of operation as a term of its own: an engine may transform
          those of some (Winograd), which costs more than to multiply by them where maps are small
macs      price = weight · MACs: the floor, which the others have to beat

A layer alone pays what it does not pay inside a network (the call, bringing its values into the engine's own layout
and out again) and misses what it pays there (caches filled by its neighbours); whole networks teach the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean

import numpy as np

from hwnas.core.errors import InputError
from hwnas.hardware.calibration import LayerTime, Observation, Prior, calibrate
from hwnas.hardware.features import features_by_key, macs_by_key, merged_by_key

SCALE_SD = 0.5  # isolated sums lie 0.6 to 1.2 times a network's latency
OVERHEAD_SD = 0.2  # of the median isolated layer
PER_VALUE_SD = 0.2  # of the isolated sum by the values it moves
DEVIATION_SD = 0.08  # of a layer, beyond what the shared unknowns explain
WEIGHT_SD = 0.5  # of a feature's weight: what lies in a cache alone may cost twice as much in a network
LEAST_WEIGHT_SD = 0.03  # of the mean layer by the most that a layer has of a feature that costs nothing alone
SHRINKAGE = 0.1  # of weights towards zero, where layers alone do not tell features apart
FOLDS = 12  # of the calibration networks


class LayerPrior:
    """About ten networks fix the shared unknowns; each further one teaches the deviations of its layers.

    Args:
        table: every layer that there is, by key.
    """

    def __init__(self, table: Mapping[str, LayerTime]) -> None:
        self._place = {key: place for place, key in enumerate(table)}
        self._isolated_ms = np.asarray([row.isolated_ms for row in table.values()])
        self._values = np.asarray([row.edge_values for row in table.values()], dtype=float)

    def mean_ms(self, keys: Sequence[str]) -> np.ndarray:
        """What each layer took alone."""
        return self._isolated_ms[self._places(keys)]

    def spread_ms(self, keys: Sequence[str]) -> np.ndarray:
        """Scale, overhead, values, and a deviation for every layer of the table."""
        places = self._places(keys)
        isolated_ms = self._isolated_ms[places]
        overhead = np.full(len(keys), OVERHEAD_SD * np.median(self._isolated_ms))
        per_value = PER_VALUE_SD * self._isolated_ms.sum() / max(self._values.sum(), 1.0)
        deviations = np.zeros((len(self._place), len(keys)))
        deviations[places, np.arange(len(keys))] = DEVIATION_SD * isolated_ms
        return np.vstack([SCALE_SD * isolated_ms, overhead, per_value * self._values[places], deviations])

    def _places(self, keys: Sequence[str]) -> list[int]:
        return [self._place[key] for key in keys]


class FeaturePrior:
    """Layers alone say what each feature's weight is about, networks correct it.

    Args:
        of_key: the features of a layer.
        table: layers that have been timed alone, by key; a layer is known whose features are among theirs.

    Raises:
        FileFormatError: a key stands for no layer.
        InputError: latencies that no numbers fit.
    """

    def __init__(self, of_key: Callable[[str], Mapping[str, float]], table: Mapping[str, LayerTime]) -> None:
        self._of_key = of_key
        names = dict.fromkeys(name for key in table for name in of_key(key))
        self._column = {name: column for column, name in enumerate(names)}
        amounts = self._amounts(tuple(table))
        isolated_ms = np.asarray([row.isolated_ms for row in table.values()])
        values = np.asarray([row.edge_values for row in table.values()], dtype=float)
        self._weight = _weights_alone(amounts, isolated_ms, values)
        # By the most that a layer has: other networks may have a hundred times more of what is next to nothing here.
        self._weight_sd = WEIGHT_SD * self._weight + LEAST_WEIGHT_SD * isolated_ms.mean() / amounts.max(axis=0)

    def mean_ms(self, keys: Sequence[str]) -> np.ndarray:
        """What the features of each layer cost in layers alone."""
        return self._amounts(keys) @ self._weight  # type: ignore[no-any-return]

    def spread_ms(self, keys: Sequence[str]) -> np.ndarray:
        """A scale, and every feature's weight."""
        amounts = self._amounts(keys)
        return np.vstack([SCALE_SD * (amounts @ self._weight), (amounts * self._weight_sd).T])

    def _amounts(self, keys: Sequence[str]) -> np.ndarray:
        """How much of each feature each layer has, (layers, features)."""
        amounts = np.zeros((len(keys), len(self._column)))
        for row, key in enumerate(keys):
            for name, amount in self._of_key(key).items():
                if name not in self._column:
                    raise KeyError(key)  # it does what no layer of the table does
                amounts[row, self._column[name]] = amount
        return amounts


def _weights_alone(amounts: np.ndarray, isolated_ms: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The weights with the least relative errors, none below zero, where each layer also pays for being alone.

    Being alone costs a call, and something for every value that is brought in and out; networks do not pay that.

    Raises:
        InputError: latencies that no numbers fit.
    """
    from scipy.optimize import nnls

    columns = np.column_stack([amounts, np.ones(len(isolated_ms)), values])
    size = np.maximum(columns.mean(axis=0), 1.0)  # in terms of which no column is ill-scaled
    relative = columns / size / isolated_ms[:, None]
    pull = SHRINKAGE * np.sqrt(len(isolated_ms)) / isolated_ms.mean() * np.eye(columns.shape[1])
    target = np.concatenate([np.ones(len(isolated_ms)), np.zeros(columns.shape[1])])
    try:
        weights, _ = nnls(np.vstack([relative, pull]), target, maxiter=100 * columns.shape[1])
    except (RuntimeError, ValueError) as reason:
        raise InputError(f"no latency model fits the layers that were timed alone: {reason}; profile again") from None
    return weights[: amounts.shape[1]] / size[: amounts.shape[1]]  # type: ignore[no-any-return]


class MacsPrior:
    """Whole networks say what a multiply-accumulate costs; layers alone give no more than its order of magnitude.

    Args:
        table: layers that have been timed alone, by key.

    Raises:
        FileFormatError: a key stands for no layer.
    """

    def __init__(self, table: Mapping[str, LayerTime]) -> None:
        self._per_mac_ms = sum(row.isolated_ms for row in table.values()) / max(sum(map(macs_by_key, table)), 1.0)

    def mean_ms(self, keys: Sequence[str]) -> np.ndarray:
        """What a multiply-accumulate costs in the layers alone, times how many there are."""
        return self._per_mac_ms * np.asarray([macs_by_key(key) for key in keys])

    def spread_ms(self, keys: Sequence[str]) -> np.ndarray:
        """The weight of a multiply-accumulate."""
        return WEIGHT_SD * self.mean_ms(keys)[None, :]


KINDS: dict[str, Callable[[Mapping[str, LayerTime]], Prior]] = {
    "layers": LayerPrior,
    "features": partial(FeaturePrior, merged_by_key),
    "features by weights": partial(FeaturePrior, features_by_key),
    "macs": MacsPrior,
}


def cross_validated(table: Mapping[str, LayerTime], observations: Sequence[Observation]) -> dict[str, float]:
    """The mean absolute error in percent of every kind that can be fitted, on networks left out in turn.

    Args:
        table: layers that have been timed alone, by key.
        observations: calibration networks, at least 2; never those that judge the model.

    Returns:
        Errors by kind, in the order of KINDS; a kind that does not know all of the layers is left out.

    Raises:
        InputError: latencies that no numbers fit.
    """
    folds = min(FOLDS, len(observations))
    found = {}
    for kind, prior_of in KINDS.items():
        prior, errors = prior_of(table), []
        try:
            for fold in range(folds):
                rest = [row for index, row in enumerate(observations) if index % folds != fold]
                fitted = calibrate(prior, rest)
                errors += [abs(fitted.predict(row.layers) / row.measured_ms - 1) for row in observations[fold::folds]]
        except KeyError:
            continue
        found[kind] = 100 * fmean(errors)
    return found
