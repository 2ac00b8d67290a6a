"""Children that train nothing and need no torch: their accuracy follows from their network and seed."""

from __future__ import annotations

import sys

_KNOWS = """
import hashlib, json, socket, sys
from hwnas.evaluation.channel import Channel
channel = Channel(socket.socket(fileno=0))
training = channel.receive().facts["training"]
digest = hashlib.sha256(json.dumps([training["network"], training["seed"]]).encode()).hexdigest()
if int(training["purpose"].split("/")[1][:2], 16) < int(sys.argv[1]):
    raise SystemExit("planted")
accuracy = int(digest[:8], 16) / 2**32
channel.send({"quality": {"loss": 1 - accuracy, "accuracy": accuracy, "images": 100, "evaluator": "known"}})
"""


def knowing(failing: int = 0) -> tuple[str, ...]:
    """The command of such a child.

    Args:
        failing: it fails by itself where its architecture's id begins below that, of 256 beginnings.
    """
    return sys.executable, "-c", _KNOWS, str(failing)
