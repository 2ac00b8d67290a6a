"""The command line, one file per command. Importing it imports no torch."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

RESUMABLE = ("fit", "search", "train")


class Stopped(BaseException):
    """The user or the system asked the process to end; no command handles it, so that everything is closed in order.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def main() -> None:
    """Entry point of `hwnas`."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs a command; every error that hwnas raises on purpose is one sentence and a code.

    Args:
        arguments: what was typed after "hwnas".

    Returns:
        The exit code.
    """
    from hwnas.cli.app import app
    from hwnas.cli.terminal import complain
    from hwnas.core.errors import HwnasError

    try:
        with _signals_raise():
            app(args=list(arguments), prog_name="hwnas", obj=tuple(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except HwnasError as error:
        complain(str(error))
        return error.exit_code
    except Stopped as stop:
        complain(f"interrupted{_resuming(arguments)}")
        return stop.exit_code
    return 0


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise Stopped; not KeyboardInterrupt, which the command-line library takes for itself."""
    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # a shell's background job is not to hear Ctrl-C
                before[number] = signal.signal(number, _stop)
    except ValueError:  # in a thread, where the main one hears the signals
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _resuming(arguments: Sequence[str]) -> str:
    """The command that goes on; --fresh would throw away what there is."""
    if not arguments or arguments[0] not in RESUMABLE:
        return ""
    return ". To go on: " + shlex.join(["hwnas", *(word for word in arguments if word != "--fresh")])
