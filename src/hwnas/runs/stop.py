"""Asking a run to end at the next moment at which nothing is lost."""

from __future__ import annotations

import time
from typing import final

_PATIENCE_SECONDS = 5.0


@final
class Stop:
    """Made by whoever may want to end a run, and handed to it; `ask` is safe in a signal handler."""

    def __init__(self) -> None:
        self._error: BaseException | None = None
        self._polled_at = float("-inf")

    def ask(self, error: BaseException) -> None:
        """Asks the run to end by raising `error` once its loop has saved; the first one counts."""
        self._error = self._error or error

    @property
    def requested(self) -> bool:
        """Whether the run was asked."""
        return self._error is not None

    def poll(self) -> bool:
        """Whether the run was asked; a loop that polls promises to save and then to call `check`."""
        self._polled_at = time.monotonic()
        return self.requested

    @property
    def is_polled(self) -> bool:
        """Whether a loop is at work that will hear of it soon; otherwise nothing would be saved by waiting."""
        return time.monotonic() - self._polled_at < _PATIENCE_SECONDS

    def check(self) -> None:
        """Raises what was asked for; does nothing otherwise."""
        if self._error is not None:
            raise self._error
