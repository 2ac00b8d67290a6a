"""Keeps commands in processes of their own from the network; no_network/sitecustomize.py is what they import first."""

from __future__ import annotations

import os
from pathlib import Path


def offline(log: Path) -> dict[str, str]:
    """What to add to the environment of a command: it, and every Python process below it, is refused the network.

    Args:
        log: there is such a file if anybody tried.
    """
    paths = [str(Path(__file__).with_name("no_network")), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "NETWORK_LOG": str(log)}
