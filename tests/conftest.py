"""One thread, latencies kept in a directory of the session, and the large data where it lies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

pytest.register_assert_rewrite(
    "hwnas.testing.controllers", "hwnas.testing.engines", "hwnas.testing.spaces", "hwnas.testing.strategies"
)

# More threads beside other busy processes make small networks many times slower, and sums depend on their number.
torch.set_num_threads(1)
# A shell has what it starts in the background ignore Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes what the user has measured."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("HWNAS_CACHE", str(cache))
        yield cache


@pytest.fixture(autouse=True)
def same_random_state() -> None:
    """A test that forgot to seed fails every time or never."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of large data for tests; skips with the reason where there is none."""
    folder = Path(os.environ.get("HWNAS_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            f"no data at {folder}: set HWNAS_DATA to the folder that holds cifar10/, proxylessnas/ and the like"
        )
    return folder
