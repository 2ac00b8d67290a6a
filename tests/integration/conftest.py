"""One real fit on the toy space, made once by the command line and replayed by the tests; and commands refused."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from real_runs import ENVIRONMENT, SETTINGS, FirstRun, start
from refusals import Refused, files_of

from hwnas.cli import run as command
from offline import offline

Said = Callable[..., str]


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, cache_of_the_session: Path) -> FirstRun:
    """A fit with both standard baselines. With three sessions its interval may be wide, so it may miss: exit 0 or 3."""
    path = tmp_path_factory.mktemp("runs") / "first"
    log = tmp_path_factory.mktemp("network") / "log"
    ENVIRONMENT.update({"HWNAS_CACHE": str(cache_of_the_session), **offline(log)})
    process = start("fit", *SETTINGS, "--out", str(path), "--json")
    out, said = process.communicate(timeout=300)
    assert process.returncode in (0, 3), said
    assert not log.exists(), f"the network was asked for: {log.read_text()}"
    return FirstRun(path, process.returncode, json.loads(out), said)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that is refused by one sentence with these words, and leaves everything as it was."""

    def call(*arguments: str, words: str | tuple[str, ...] = (), code: int = 2) -> str:
        before = files_of(here)
        capsys.readouterr()
        found = command(arguments)
        out, err = capsys.readouterr()
        assert (found, out) == (code, ""), err
        assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n") and "Traceback" not in err, err
        assert not any(unicodedata.category(one) in ("Cc", "Cf", "Cs") for one in err[:-1]), err
        for word in (words,) if isinstance(words, str) else words:
            assert word in err, err
        assert files_of(here) == before
        return err

    return call


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command in this process that succeeds; what it prints."""

    def call(*arguments: str) -> str:
        capsys.readouterr()
        code = command(arguments)
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return call
