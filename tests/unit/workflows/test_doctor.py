"""The examination finds what is there, and says how to get what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.core.errors import TargetUnavailable
from hwnas.hardware import targets
from hwnas.hardware.sealed import sealed_text
from hwnas.hardware.store import FORMAT
from hwnas.workflows import doctor


def test_a_machine_that_runs_these_tests_has_what_is_needed() -> None:
    findings = {finding.name: finding for finding in doctor.examine()}
    assert not [finding for finding in findings.values() if finding.status == "missing"]
    assert "a tiny network ran in" in findings["onnxruntime"].found
    assert findings["data mnist5k"].status == "ok" and "usable" in findings["cores"].found


def test_what_is_missing_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(*_: object) -> None:
        raise TargetUnavailable("needs the package onnxruntime")

    monkeypatch.setattr(targets, "open_target", unavailable)
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("in the way")
    missing = {finding.name: finding for finding in doctor.examine() if finding.status == "missing"}
    assert missing.keys() == {"onnxruntime", "no-such-package", "latency cache"}
    assert all(finding.remedy for finding in missing.values())
    assert "HWNAS_CACHE" in missing["latency cache"].remedy


def test_stored_targets_are_named_and_foreign_files_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path))
    content = {"target": "onnxruntime-f32", "key": {"input_shape": [3, 32, 32]}, "layers": {"x": 1}}
    (tmp_path / "a.json").write_text(sealed_text(FORMAT, content))
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "c.json").write_text("{")
    (finding,) = doctor._cache()
    assert finding.found.endswith(f"{tmp_path}: onnxruntime-f32 at 3x32x32 (1 layers)")
