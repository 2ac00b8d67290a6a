"""A process of its own that is spoken to over a socket at its stdin, and whose end leaves nothing running."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from hwnas.evaluation.channel import Channel

_LAST_WORDS_BYTES = 4096
_ENDS_WITHIN_S = 20.0


@dataclass(frozen=True, eq=False)
class Child:
    """A process that was started, and the way to it.

    Args:
        channel: our end; a message that the child does not give or take in time is a TimeoutError.
        end: the socket below it, to wait for several children at once.
        process: the child.
        said: what it writes to stdout and stderr.
    """

    channel: Channel
    end: socket.socket
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def last_words(self) -> tuple[int | None, list[str]]:
        """The exit status of a child that has gone silent, None where it lives on, and the last lines that it wrote."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_ENDS_WITHIN_S)
        self.said.seek(max(0, self.said.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
        lines = [line.strip() for line in self.said.read().decode(errors="replace").splitlines()]
        return self.process.returncode, [line for line in lines if line]


@contextmanager
def started(
    command: tuple[str, ...], patience_s: float, variables: Mapping[str, str] | None = None
) -> Iterator[Child]:  # fmt: skip
    """A child while the block lasts; then it is ended, and all that it has started.

    Args:
        command: starts it.
        patience_s: how long a message may take.
        variables: of its environment, beside those of this process.
    """
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as said:
        with theirs:
            # A session of its own: Ctrl-C is for this process, and the child's own workers can be ended with it.
            process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=said, stderr=said, start_new_session=True,
                env={**os.environ, **(variables or {})},
            )  # fmt: skip
        try:
            yield Child(Channel(ours, patience_s), ours, process, said)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
