"""A fit that ends at any row that it was about to store goes on, and ends as one that was not cut off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwnas.hardware.store import TargetStore
from hwnas.runs.directory import RunDirectory
from hwnas.runs.store import RunStore
from hwnas.workflows.fit import fit

FILES = ("model.onnx", "weights.safetensors", "network.json", "baselines/fixed/model.onnx")


class CutOff(BaseException):
    """As if the process were gone."""


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[str]]:
    """Cuts a run off before the row of a number is stored, None at none; gives what the rows are about as they come."""
    insert = RunStore._insert

    def cut_before(number: int | None) -> list[str]:
        stored: list[str] = []

        def counted(store: RunStore, table: str, *values: Any) -> int:
            if len(stored) == number:
                raise CutOff
            stored.append(f"{table} {values[2] if table == 'measurements' else values[0]}")
            return insert(store, table, *values)

        monkeypatch.setattr(RunStore, "_insert", counted)
        return stored

    return cut_before


@pytest.fixture
def equal_after(make_job: Any, tmp_path: Path, course: Any, rows: Any) -> Callable[[int], None]:
    """Cuts a fit off before a row, lets it go on, and compares."""
    job = make_job("80%")
    whole = tmp_path / "whole"

    def compare(number: int) -> None:
        out = tmp_path / f"cut-{number}"
        again = replace(job, store=TargetStore(tmp_path / f"latencies-{number}"))
        rows(number)
        with pytest.raises(CutOff), RunDirectory.open(out, {}) as run:
            fit(again, run, course())
        rows(None)
        with RunDirectory.open(out, {}) as run:
            found = fit(again, run, course()).result
        expected = RunDirectory.read(whole).result()
        assert found["repeat"] == expected["repeat"]
        for name in FILES:
            assert (out / name).read_bytes() == (whole / name).read_bytes()

    return compare


@pytest.fixture
def stored(make_job: Any, tmp_path: Path, course: Any, rows: Any, equal_after: Any) -> list[str]:
    """The rows of a whole fit."""
    found: list[str] = rows(None)
    with RunDirectory.open(tmp_path / "whole", {}) as run:
        fit(make_job("80%"), run, course())
    return found


def test_files_measured_side_by_side_are_never_measured_apart(stored: list[str], equal_after: Any) -> None:
    shipped = [number for number, row in enumerate(stored) if row == "measurements shipped file"]
    assert len(shipped) == 2
    equal_after(shipped[-1])


@pytest.mark.slow
def test_a_fit_is_cut_off_before_each_of_its_rows(stored: list[str], equal_after: Any) -> None:
    assert len(stored) > 50
    for number in range(len(stored)):
        equal_after(number)
