"""The command line, one file per command. Importing it imports no torch."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.cli.signals import Stopped, ending
from hwnas.runs.stop import Stop

RESUMABLE = ("fit", "search", "train", "compare")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What every command knows of how it was called; `context.find_root().obj`.

    Args:
        arguments: what was typed after "hwnas".
        stop: asks a run to end.
    """

    arguments: tuple[str, ...]
    stop: Stop


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
    from hwnas.cli.app import UsageError, app, usage_in_one_line
    from hwnas.cli.terminal import complain
    from hwnas.core.errors import HwnasError

    called = Invocation(tuple(arguments), Stop())
    farewell = f"interrupted{_resuming(arguments)}"
    try:
        with ending(called.stop, farewell):
            code = app(args=list(arguments), prog_name="hwnas", obj=called, standalone_mode=False)
            return code if isinstance(code, int) else 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except UsageError as error:
        if said := usage_in_one_line(error):
            complain(said)
        return 2
    except HwnasError as error:
        complain(str(error))
        return error.exit_code
    except OSError as error:  # of a file or disk that nobody expected to fail
        complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return 2
    except Stopped as stop:
        complain(farewell)
        return stop.exit_code


def _resuming(arguments: Sequence[str]) -> str:
    """The command that goes on; --fresh would throw away what there is."""
    if not arguments or arguments[0] not in RESUMABLE:
        return ""
    return ". To go on: " + shlex.join(["hwnas", *(word for word in arguments if word != "--fresh")])
