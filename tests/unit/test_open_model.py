"""Which file of a run is measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hwnas.compose import networks
from hwnas.runs import stored


@pytest.mark.parametrize("place", ["", "baselines/fixed"])
def test_only_the_file_that_ships_has_the_batch_of_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "result.json").write_text("{}")
    result = {"target": {"key": {"batch": 8}, "file": "model.int8.onnx"}}
    monkeypatch.setattr(stored, "read_run", lambda _: SimpleNamespace(result=lambda: result))
    assert networks._batch_of(tmp_path / place / "model.int8.onnx") == 8
    assert networks._batch_of(tmp_path / place / "model.onnx") == 1  # written beside it, for one image
    del result["target"]["file"]  # of an earlier version, which shipped ONNX alone
    assert networks._batch_of(tmp_path / place / "model.onnx") == 8
