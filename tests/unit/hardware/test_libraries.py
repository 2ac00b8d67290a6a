"""What an engine needs: missing, too old, broken, or there, and always said in one sentence with the way to get it."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.errors import EvaluationFailed, TargetUnavailable
from hwnas.hardware.engines import ENGINES, libraries, open_engine
from hwnas.hardware.engines.libraries import Library

VENDOR = Library("made-up-vendor", "made_up_vendor", "'hwnas[made-up]'", "2.5")
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No test finds what another has imported."""
    yield
    sys.modules.pop("made_up_vendor", None)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, code: str = "") -> None:
    """Puts the vendor's module where it is found, with its version if one is given."""
    (folder / "made_up_vendor.py").write_text(code)
    if version is not None:
        facts = folder / f"made_up_vendor-{version}.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: made-up-vendor\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder))


def imported() -> Any:
    with VENDOR.needed_by("vendor-f32"):
        import made_up_vendor

    return made_up_vendor


def test_what_is_there_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "2.10.1rc1", "found = True")  # 10 is more than 5
    assert VENDOR.installed() == "2.10.1rc1" and "made_up_vendor" not in sys.modules
    assert imported().found


def test_a_module_from_another_package_tells_no_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, None, "found = True")
    assert VENDOR.installed() == "" and imported().found


def test_what_is_missing_is_told_with_what_to_install() -> None:
    assert VENDOR.installed() is None
    words = "target 'vendor-f32' needs the package made-up-vendor, which is not installed: pip install 'hwnas.made-up.'"
    with pytest.raises(TargetUnavailable, match=words):
        imported()


def test_what_is_too_old_is_not_even_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "2.4.9", "raise SystemError('imported')")
    with pytest.raises(TargetUnavailable, match="2.5 or newer, and 2.4.9 is installed: pip install --upgrade made-up"):
        imported()


@pytest.mark.parametrize("fault", ["OSError('libvendor.so:\\n not found')", "AttributeError()", "ImportError('abi')"])
def test_what_is_broken_is_told_whatever_it_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    install(tmp_path, monkeypatch, "2.5", f"raise {fault}")
    with pytest.raises(TargetUnavailable, match="installed but does not work .*--force-reinstall made-up") as raised:
        imported()
    assert "\n" not in str(raised.value) and "()" not in str(raised.value)


def test_our_own_errors_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "2.5")
    with pytest.raises(EvaluationFailed, match="mine"), VENDOR.needed_by("vendor-f32"):
        raise EvaluationFailed("mine")


def test_the_oldest_versions_are_those_that_pip_is_told() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    told = {*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)}
    known = [one for one in vars(libraries).values() if isinstance(one, Library)]
    assert known and {f"{library.package}>={library.oldest}" for library in known} <= told


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_listed_is_what_the_engine_says_of_itself(name: str) -> None:
    offer = ENGINES[name]
    try:
        engine = open_engine(name)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))
    facts = engine.fingerprint()
    assert (offer.precision, offer.suffix) == (facts["precision"], engine.suffix)
    assert name == f"{facts['engine']}-{facts['precision']}"
    assert (offer.library.installed() or "").split("-")[0].startswith(facts["version"].split("+")[0])
