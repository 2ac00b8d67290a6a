"""The examination finds what is there, and says how to get what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.core.errors import TargetUnavailable
from hwnas.core.network import NetworkSpec
from hwnas.hardware.engines import ENGINES
from hwnas.hardware.engines.libraries import Library
from hwnas.hardware.sealed import sealed_text
from hwnas.hardware.store import FORMAT
from hwnas.hardware.trying import Tried
from hwnas.workflows import doctor


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that were tried, all of which work."""
    names: list[str] = []

    def try_engine(name: str, network: NetworkSpec) -> Tried:
        names.append(name)
        return Tried("engine 1.0", 0.123456)

    monkeypatch.setattr(doctor, "try_engine", try_engine)
    return names


def test_a_machine_that_runs_these_tests_has_what_is_needed() -> None:
    findings = {finding.name: finding for finding in doctor.examine()}
    assert not [finding for finding in findings.values() if finding.status == "missing"]
    assert "a tiny network ran in" in findings["onnxruntime-f32"].found
    assert findings["data mnist5k"].status == "ok" and "usable" in findings["cores"].found
    for name, offer in ENGINES.items():
        assert (findings[name].status, findings[name].remedy) in (
            ("ok", ""),
            ("note", ""),
            ("note", offer.library.remedy),
        )


def test_what_is_missing_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tried: list[str]) -> None:
    monkeypatch.setattr(Library, "installed", lambda self: None)
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").write_text("in the way")
    findings = {finding.name: finding for finding in doctor.examine()}
    missing = {name: finding for name, finding in findings.items() if finding.status == "missing"}
    assert missing.keys() == {"onnxruntime-f32", "no-such-package", "latency cache"}
    assert all(finding.remedy for finding in missing.values())
    assert "HWNAS_CACHE" in missing["latency cache"].remedy
    assert findings["openvino-f32"].status == "note" and "hwnas[openvino]" in findings["openvino-f32"].remedy
    assert tried == []  # what is not installed costs nothing


def test_an_engine_that_does_not_work_is_told_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tried: list[str]
) -> None:
    monkeypatch.setattr(Library, "installed", lambda self: "1.0")
    assert {finding.status for finding in doctor._engines()} == {"ok"} and tried == list(ENGINES)

    def fail(name: str, network: NetworkSpec) -> Tried:
        raise TargetUnavailable(f"target {name!r} needs a processor with bf16 instructions")

    monkeypatch.setattr(doctor, "try_engine", fail)
    found = {finding.name: finding for finding in doctor._engines()}
    assert found["onnxruntime-f32"].status == "missing" and found["openvino-bf16"].status == "note"
    assert "needs a processor" in found["openvino-bf16"].found


def test_stored_targets_are_named_and_foreign_files_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path))
    content = {"target": "onnxruntime-f32", "key": {"input_shape": [3, 32, 32]}, "layers": {"x": 1}}
    (tmp_path / "a.json").write_text(sealed_text(FORMAT, content))
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "c.json").write_text("{")
    (finding,) = doctor._cache()
    assert finding.found.endswith(f"{tmp_path}: onnxruntime-f32 at 3x32x32 (1 layers)")
