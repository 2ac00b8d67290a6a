"""Rows of NAS-Bench-Macro, and what is said of those that are none."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from hwnas.core.errors import FileFormatError
from hwnas.evaluation.nas_bench_macro import BenchmarkRow, benchmark_rows

ROW: dict[str, Any] = {"test_acc": [89.47, 88.95, 89.17], "mean_acc": 89.196667, "std": 0.2, "params": 890_666,
                       "flops": 47_327_744}  # fmt: skip


def test_a_row() -> None:
    assert benchmark_rows({"02012100": ROW}) == {"02012100": BenchmarkRow(89.196667 / 100, 47_327_744)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("test_acc", [89.47, 88.95]), ("test_acc", [89.47, 88.95, 101.0]), ("test_acc", "89"), ("test_acc", None),
        ("test_acc", [89.47, 88.95, float("nan")]), ("test_acc", [True, True, True]), ("mean_acc", 89.3),
        ("mean_acc", True), ("mean_acc", float("nan")), ("mean_acc", [1]), ("flops", 0), ("flops", 1.5),
        ("flops", True), ("flops", 10**13), ("flops", "47327744"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(field: str, value: object) -> None:
    row = copy.deepcopy(ROW) | {field: value}
    with pytest.raises(FileFormatError, match=rf"row 02012100: field '{field}'"):
        benchmark_rows({"02012100": row})


@pytest.mark.parametrize("field", ["test_acc", "mean_acc", "flops"])
def test_a_field_that_is_missing_is_named(field: str) -> None:
    with pytest.raises(FileFormatError, match=rf"row 02012100: field '{field}' is missing"):
        benchmark_rows({"02012100": {key: value for key, value in ROW.items() if key != field}})


@pytest.mark.parametrize("data", [[], {}, None, 7, {"0201210": ROW}, {"0201210x": ROW}, {"02012103": ROW},
                                  {"02012100\n": ROW}, {"02012100": [ROW]}, {"02012100": None}])  # fmt: skip
def test_what_is_no_table(data: object) -> None:
    with pytest.raises(FileFormatError):
        benchmark_rows(data)
