"""The rows of NAS-Bench-Macro as its authors published them: 6,561 encodings, each with three trainings on CIFAR-10.

Source: Su et al. 2021, "Prioritized Architecture Sampling with Monto-Carlo Tree Search"; the file is
nas-bench-macro_cifar10.json of github.com/xiusu/NAS-Bench-Macro.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwnas.core.errors import FileFormatError, quoted

TEST_IMAGES = 10_000
_DIGITS = re.compile("[012]{8}")
_RUNS = 3
_SLACK = 1e-3  # percent; the published means are of the unrounded accuracies
_MOST_MACS = 10**12


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """One encoding.

    Args:
        accuracy: mean test accuracy of its trainings, 0 to 1.
        macs: multiply-accumulates of convolutions and linear layers, as published.
    """

    accuracy: float
    macs: int


def benchmark_rows(data: Any) -> dict[str, BenchmarkRow]:
    """The rows by their eight digits.

    Args:
        data: the content of the JSON file.

    Raises:
        FileFormatError: anything that is not understood, or a mean that is not that of its runs; names row and field.
    """
    if not isinstance(data, Mapping) or not data:
        raise FileFormatError(f"expected an object with a row for each network, not {quoted(data)}")
    return {digits: _row(digits, row) for digits, row in data.items()}


def _row(digits: str, row: Any) -> BenchmarkRow:
    if not _DIGITS.fullmatch(digits):
        raise FileFormatError(f"row {quoted(digits)}: a network is eight digits from 0 to 2")
    if not isinstance(row, Mapping):
        raise FileFormatError(f"row {digits}: expected an object with test_acc, mean_acc and flops, not {quoted(row)}")
    runs, mean, macs = (_field(digits, row, name) for name in ("test_acc", "mean_acc", "flops"))
    if not isinstance(runs, list) or len(runs) != _RUNS or not all(map(_is_percent, runs)):
        raise _wrong(digits, "test_acc", f"{_RUNS} accuracies from 0 to 100", runs)
    if not _is_percent(mean) or abs(mean - sum(runs) / _RUNS) > _SLACK:
        raise _wrong(digits, "mean_acc", f"the mean of test_acc, {sum(runs) / _RUNS:.4f}", mean)
    if type(macs) is not int or not 0 < macs <= _MOST_MACS:
        raise _wrong(digits, "flops", "a whole number above zero", macs)
    return BenchmarkRow(mean / 100, macs)


def _field(digits: str, row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise FileFormatError(f"row {digits}: field {name!r} is missing")
    return row[name]


def _is_percent(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 100  # NaN is in no range


def _wrong(digits: str, name: str, expected: str, value: Any) -> FileFormatError:
    return FileFormatError(f"row {digits}: field {name!r} must be {expected}, not {quoted(value)}")
