"""Text that comes from users and is kept in our files."""

from __future__ import annotations

import re

from hwnas.core.errors import InputError, quoted

_STRANGE = re.compile(r"[\0\x85\ud800-\udfff]")  # NUL, YAML's own line break, and bytes that are no UTF-8


def check_text(what: str, text: str) -> None:
    """Refuses text that our files cannot hold.

    Raises:
        InputError: names `what` and the character.
    """
    strange = _STRANGE.search(text)
    if strange is not None:
        raise InputError(
            f"{what}: {quoted(text)} has the character {strange[0]!a}, which our files cannot hold; rename it"
        )
