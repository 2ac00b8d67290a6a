"""The command line, one file per command. Importing it imports no torch."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `hwnas`: runs a command; every error that hwnas raises on purpose is one sentence and a code."""
    from hwnas.cli.app import app
    from hwnas.cli.terminal import complain
    from hwnas.core.errors import HwnasError

    try:
        app()
    except HwnasError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain(f"interrupted. To go on: {' '.join(['hwnas', *sys.argv[1:]])}")
        sys.exit(130)
