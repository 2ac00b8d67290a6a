"""In PYTHONPATH it keeps every Python process from the network, and writes down who tried."""

import os
import sys
import traceback

_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.bind")


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    # An address of text or bytes is a socket of this machine's file system.
    if event in _EVENTS and not isinstance(arguments[-1], (str, bytes)):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(f"{event} {arguments} {''.join(traceback.format_stack(limit=8))}\n")
        raise PermissionError(f"no network in tests: {event}")


sys.addaudithook(_refuse)
