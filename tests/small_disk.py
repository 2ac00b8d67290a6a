"""A file system of a few megabytes, really mounted, for what happens when it is full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOMY_BYTES = 256 * 2**20
_TRIES = 50


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system whose size can be changed."""

    path: Path

    def leave(self, free_bytes: int) -> None:
        """Makes it so large that about as many bytes are free, whatever else is written meanwhile."""
        for _ in range(_TRIES):
            size = shutil.disk_usage(self.path).used + free_bytes
            if _mount("-o", f"remount,size={size}", str(self.path)).returncode == 0:
                return
        raise RuntimeError(f"{self.path} could not be made smaller")


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """Mounts one, or skips the test with the reason; it is gone at the end."""
    path.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    done = _mount("-t", "tmpfs", "-o", f"size={ROOMY_BYTES}", "small", str(path))
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
