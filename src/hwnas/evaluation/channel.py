"""Messages between a process and its child: JSON values and arrays over a socket, of which nothing can run."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from safetensors import numpy as safetensors_numpy

_SIZES = struct.Struct("<QQ")  # bytes of the JSON text and of the arrays


@dataclass(frozen=True, slots=True)
class Message:
    """Plain JSON values, and arrays by name."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@final
class Channel:
    """One end of a connected socket.

    Args:
        end: the socket.
        patience_s: a message that takes longer to come or to go is a TimeoutError; None waits for ever.
    """

    def __init__(self, end: socket.socket, patience_s: float | None = None) -> None:
        end.settimeout(patience_s)
        self._end = end

    def send(self, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Sends one message.

        Raises:
            ConnectionError: the other side is gone.
            TimeoutError: it does not take it.
        """
        text = json.dumps(facts).encode("ascii")
        # asarray: safetensors copies memory as it lies, so a transposed view would come out scrambled.
        packed = safetensors_numpy.save({name: np.asarray(one, order="C") for name, one in (arrays or {}).items()})
        self._end.sendall(_SIZES.pack(len(text), len(packed)))
        self._end.sendall(text)
        self._end.sendall(packed)

    def receive(self) -> Message:
        """Waits for one message.

        Raises:
            EOFError: the other side is gone; ConnectionError, if in the midst of something.
            TimeoutError: it says nothing.
        """
        text_bytes, packed_bytes = _SIZES.unpack(self._read(_SIZES.size))
        text = self._read(text_bytes)
        return Message(json.loads(bytes(text)), safetensors_numpy.load(bytes(self._read(packed_bytes))))

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        rest = memoryview(content)
        while rest:
            taken = self._end.recv_into(rest)
            if not taken:
                raise EOFError
            rest = rest[taken:]
        return content
