"""Running out of memory, told apart from every other failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hwnas.core.errors import OutOfMemory

# What torch's CPU allocator and its libraries say in a plain RuntimeError.
_SAID = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc", "Cannot allocate memory",
         "MemoryError")  # fmt: skip


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on whichever device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and says_out_of_memory(str(error))


def says_out_of_memory(text: str) -> bool:
    """Whether the last words of a process, or of an error, are that memory ran out."""
    return any(words in text for words in _SAID)


@contextmanager
def memory_for(purpose: str, batch_size: int) -> Iterator[None]:
    """Within, running out of memory is a typed error that says what to change; the run's checkpoints stay.

    Args:
        purpose: what needed it.
        batch_size: images a step.

    Raises:
        OutOfMemory: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        # Not `from error`: its traceback keeps every tensor of the step alive.
        raise OutOfMemory(
            f"{purpose}: out of memory with {batch_size} images a step; free some and run the same command again, it "
            f"resumes, or start over with --batch-size {max(1, batch_size // 2)} --fresh"
        ) from None
