"""Ctrl-C and SIGTERM: once, the run saves and ends; twice, it ends at once. Either way nothing is left running."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

from hwnas.runs.stop import Stop

SAVE_WITHIN_SECONDS = 4.0  # a step that takes longer is given up; it is done again after resuming
_STDERR = 2
_ENDING = (signal.SIGINT, signal.SIGTERM)


@final
class Stopped(BaseException):
    """The user or the system asked the process to end; no command handles it, so that everything is closed in order.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def ending(stop: Stop, farewell: str) -> Iterator[None]:
    """Within, signals that ask the process to end are turned into Stopped.

    Not into KeyboardInterrupt, which the command-line library takes for itself.

    Args:
        stop: asked first; where no loop polls it, or none answers in time, Stopped is raised on the spot.
        farewell: what to say when a second signal ends the process at once.
    """

    def first(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            _leave(number, farewell)
        stop.ask(Stopped(number))
        if not stop.is_polled or not hasattr(signal, "setitimer"):
            stop.check()
        os.write(_STDERR, b"\nsaving; once more to leave at once\n")
        signal.setitimer(signal.ITIMER_REAL, SAVE_WITHIN_SECONDS)

    def too_slow(number: int, frame: FrameType | None) -> None:
        stop.check()

    before = {}
    try:
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job is not to hear Ctrl-C
                before[number] = signal.signal(number, first)
        if hasattr(signal, "SIGALRM"):
            before[signal.SIGALRM] = signal.signal(signal.SIGALRM, too_slow)
    except ValueError:  # in a thread, where the main one hears the signals
        pass
    try:
        yield
    finally:
        if signal.SIGALRM in before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, farewell: str) -> None:
    """Ends the process here, children first: what is not on disk is lost, and nothing is left running."""
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    with contextlib.suppress(OSError):
        os.write(_STDERR, f"\nerror: {farewell}\n".encode(errors="backslashreplace"))
    os._exit(128 + number)
