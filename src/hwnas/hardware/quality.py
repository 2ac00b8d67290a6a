"""How good a latency model is, on networks that it never saw, beside what the truth itself and counting can do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np

from hwnas.core.errors import FileFormatError
from hwnas.hardware.fields import number, positive, rows, whole


@dataclass(frozen=True, slots=True)
class Point:
    """One held-out network: predicted and measured latency in ms, and its MACs."""

    predicted_ms: float
    measured_ms: float
    macs: int


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """Figures on held-out networks.

    Args:
        bias_percent: mean of (predicted − measured) / measured.
        mape_percent: mean of |predicted − measured| / measured.
        r2: share of the measured variance that is explained; 0 where nothing varies.
        kendall_tau: rank agreement, −1 to 1; 0 where nothing varies.
        retest_cv_percent: the truth's own spread: deviation by mean over its sessions, mean over networks.
        retest_tau: rank agreement between its sessions; no model can be seen to do better.
        macs_mape_percent: of an affine fit on MACs, on the same calibration networks.
        macs_kendall_tau: of the MACs.
        calibration_networks: whole networks that the model was fitted on.
        points: the held-out networks.
    """

    bias_percent: float
    mape_percent: float
    r2: float
    kendall_tau: float
    retest_cv_percent: float
    retest_tau: float
    macs_mape_percent: float
    macs_kendall_tau: float
    calibration_networks: int
    points: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` is its inverse."""
        return asdict(self)

    @staticmethod
    def from_json(data: Any) -> ModelQuality:
        """Reads what `to_json` wrote.

        Raises:
            FileFormatError: a field is missing or wrong.
        """
        try:
            figures = [field.name for field in fields(ModelQuality) if field.type == "float"]
            return ModelQuality(
                **{name: number(data[name]) for name in figures},
                calibration_networks=whole(data["calibration_networks"]),
                points=tuple(
                    Point(number(row["predicted_ms"]), positive(row["measured_ms"]), whole(row["macs"]))
                    for row in rows(data["points"])
                ),
            )
        except (KeyError, TypeError, ValueError) as reason:
            raise FileFormatError(f"latency model: field 'quality' is damaged ({reason!r})") from None


def assess(
    points: Sequence[Point], sessions_ms: Sequence[Sequence[float]], calibration: Sequence[tuple[int, float]]
) -> ModelQuality:
    """Compares predictions with the truth.

    Args:
        points: at least two held-out networks.
        sessions_ms: for each of them, its latency in each of at least two sessions.
        calibration: (MACs, measured ms) of the networks that the model was fitted on.
    """
    predicted = np.asarray([point.predicted_ms for point in points])
    measured = np.asarray([point.measured_ms for point in points])
    macs = np.asarray([point.macs for point in points], dtype=float)
    truth = np.asarray(sessions_ms)  # (networks, sessions)
    errors = predicted / measured - 1
    by_macs = _affine_fit(calibration)(macs)
    return ModelQuality(
        bias_percent=100 * float(errors.mean()),
        mape_percent=100 * float(np.abs(errors).mean()),
        r2=_r2(predicted, measured),
        kendall_tau=_kendall(predicted, measured),
        retest_cv_percent=100 * float((truth.std(axis=1, ddof=1) / truth.mean(axis=1)).mean()),
        retest_tau=float(np.mean([_kendall(a, b) for a, b in combinations(truth.T, 2)])),
        macs_mape_percent=100 * float(np.abs(by_macs / measured - 1).mean()),
        macs_kendall_tau=_kendall(macs, measured),
        calibration_networks=len(calibration),
        points=tuple(points),
    )


def _affine_fit(rows: Sequence[tuple[int, float]]) -> Callable[[np.ndarray], np.ndarray]:
    """Latency = a + b · MACs by least relative squares."""
    macs, latency = np.asarray(rows, dtype=float).T
    design = np.stack([np.ones_like(macs), macs], axis=1) / latency[:, None]
    (a, b), *_ = np.linalg.lstsq(design, np.ones_like(latency))
    return lambda counted: np.asarray(a + b * counted)


def _r2(predicted: np.ndarray, measured: np.ndarray) -> float:
    spread = float(((measured - measured.mean()) ** 2).sum())
    return 1 - float(((predicted - measured) ** 2).sum()) / spread if spread else 0.0


def _kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b, which is undefined where all values of one side are equal."""
    from scipy.stats import kendalltau

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(kendalltau(a, b).statistic)
