"""A place for every attack, and the process that the short form runs them all in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attacks import Scene, victims
from processes import IDLE, Answer, Asked, environment, limited


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A working directory, somebody else's files beside it, and the canary's place."""
    (tmp_path / "at").mkdir()
    victims(tmp_path / "outside")
    return Scene(tmp_path / "at", tmp_path / "outside", tmp_path / "canary")


@pytest.fixture(scope="package")
def ask(cache_of_the_session: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """Runs one command after another in a process of their own, and says how each ended.

    What it says of memory is the peak of that process, or of its children, above what it takes when it does nothing.
    """
    log = tmp_path_factory.mktemp("network") / "log"
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("runner.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, preexec_fn=limited, env=environment(log),
    )  # fmt: skip
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")

    def answer(arguments: tuple[str, ...], at: Path, cache: Path = cache_of_the_session) -> Answer:
        request = {"arguments": arguments, "at": str(at), "environment": {"HWNAS_CACHE": str(cache)}}
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the process is gone: {process.wait()}"
        return json.loads(line)

    idle = answer(IDLE, tmp_path_factory.mktemp("idle"))["peak_mb"]
    yield lambda *arguments: (found := answer(*arguments)) | {"peak_mb": found["peak_mb"] - idle}
    process.kill()
    process.wait()
    assert not log.exists(), f"the network was asked for: {log.read_text()}"
