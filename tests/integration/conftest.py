"""One real fit on the toy space, made once by the command line; its measurements are replayed by the other tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_runs import ENVIRONMENT, SETTINGS, FirstRun, start


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, cache_of_the_session: Path) -> FirstRun:
    """A fit with both standard baselines. With three sessions its interval may be wide, so it may miss: exit 0 or 3."""
    path = tmp_path_factory.mktemp("runs") / "first"
    ENVIRONMENT["HWNAS_CACHE"] = str(cache_of_the_session)
    process = start("fit", *SETTINGS, "--out", str(path), "--json")
    out, said = process.communicate(timeout=300)
    assert process.returncode in (0, 3), said
    return FirstRun(path, process.returncode, json.loads(out), said)
