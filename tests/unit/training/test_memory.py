"""Running out of memory for real, in a process that may have little of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from hwnas.core.errors import OutOfMemory
from hwnas.training.memory import is_out_of_memory, memory_for

LIMITED = """
import resource, sys
import torch
from hwnas.core.errors import OutOfMemory
from hwnas.training.memory import memory_for

limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + 2**28
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    with memory_for("train/a", 64):
        torch.ones(2**30)
except OutOfMemory as error:
    print(error)
torch.ones(2**20).sum()
print("and goes on")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of address space are Linux's")
def test_a_process_without_memory_says_what_needs_less_and_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "train/a: out of memory with 64 images a step; free some and run the same command again, it resumes, or start "
        "over with --batch-size 32 --fresh\nand goes on\n"
    )


def test_other_errors_are_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="shapes") as raised, memory_for("train", 64):
        raise RuntimeError("shapes cannot be multiplied")
    assert not isinstance(raised.value, OutOfMemory) and not is_out_of_memory(raised.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory")) and is_out_of_memory(MemoryError())
