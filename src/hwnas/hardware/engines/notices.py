"""What a vendor's C++ code has to say of itself, kept from the user's terminal."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

_STDERR = 2
_one_at_a_time = threading.Lock()  # standard error belongs to the whole process


@contextmanager
def without_notices(*beginnings: bytes) -> Iterator[None]:
    """Within, lines that begin like this are kept from standard error; all others get there at the end.

    They are written straight to the descriptor, or to Python's stream, by libraries of which no setting for it is in
    reach from Python.
    """
    with _one_at_a_time, tempfile.TemporaryFile() as written:
        try:
            kept = os.dup(_STDERR)
        except OSError:  # closed: then there is nobody to disturb
            yield
            return
        os.dup2(written.fileno(), _STDERR)
        try:
            with open(os.dup(_STDERR), "w", encoding="utf-8") as stream, redirect_stderr(stream):
                yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not line.startswith(beginnings):
                    os.write(_STDERR, line)
