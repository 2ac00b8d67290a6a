"""One process per run directory.

The system's own file lock decides, because it ends with its holder however that dies; the text in the file only says
who it is. A process id alone would prove nothing after a crash, in a container or on another machine.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

import psutil

from hwnas.core.errors import HwnasError, InputError, RunError
from hwnas.runs.files import encode_json, read_json, write_error

_LOCK_LIMIT_BYTES = 4096
_PATIENCE_SECONDS = 1.0
_LARGEST_PID = 2**31 - 1  # the system's own type for it
_IN_USE = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@final
class RunLock:
    """A lock that is held until `release`, or until the process ends; made by `take`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor
        this = weakref.ref(self)
        # A forked child shares the lock and would keep it after this process is gone.
        os.register_at_fork(after_in_child=lambda: _forget(this))

    @staticmethod
    def take(path: Path) -> RunLock:
        """Takes the lock at once or not at all; that of a holder that is gone is taken over.

        Args:
            path: the lock file, made if it is not there.

        Raises:
            RunError: another process holds it; the message names pid and host.
            InputError: the directory cannot be written.
        """
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            except OSError as reason:
                raise write_error(path, reason) from reason
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, descriptor):
                    _write_holder(descriptor)
                    return RunLock(path, descriptor)
            except OSError as reason:
                os.close(descriptor)
                # A child that was forked in its holder's last moment has the lock until it first runs.
                if reason.errno in _IN_USE and _holder_is_gone(path) and time.monotonic() < give_up:
                    time.sleep(0.02)
                    continue
                raise _refusal(path, reason) from reason
            os.close(descriptor)  # its holder removed the file between the two calls: try the new one

    def release(self) -> None:
        """Gives the lock back and removes its file; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if _is_at(self._path, descriptor):
                self._path.unlink(missing_ok=True)
        except OSError as reason:
            raise write_error(self._path, reason) from reason
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _forget(reference: weakref.ref[RunLock]) -> None:
    lock = reference()
    if lock is not None and lock._descriptor is not None:
        os.close(lock._descriptor)  # closing a copy leaves the parent's lock in place, unlocking it would not
        lock._descriptor = None


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one with that name."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    started = datetime.fromtimestamp(psutil.Process().create_time(), UTC).isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
    os.ftruncate(descriptor, 0)
    os.write(descriptor, encode_json(holder, "lock"))
    os.fsync(descriptor)


def _refusal(path: Path, reason: OSError) -> HwnasError:
    if reason.errno in _NO_LOCKS:
        return RunError(f"the file system of {path} has no file locks; choose --out on a local disk")
    if reason.errno in (errno.ENOSPC, errno.EDQUOT):
        return write_error(path, reason, _LOCK_LIMIT_BYTES)
    if reason.errno not in _IN_USE:
        return RunError(f"cannot lock {path}: {reason.strerror}")
    return RunError(f"{path.parent} is in use by {_holder(path)}; wait until it ends, stop it, or choose another --out")


def _read_holder(path: Path) -> dict[str, Any]:
    """Who signed the lock; empty between taking and signing it, or where the text is damaged."""
    try:
        holder = read_json(path, _LOCK_LIMIT_BYTES)
    except InputError:
        return {}
    pid = holder.get("pid") if isinstance(holder, dict) else None
    return holder if isinstance(pid, int) and 0 < pid <= _LARGEST_PID else {}


def _holder_is_gone(path: Path) -> bool:
    holder = _read_holder(path)
    return bool(holder) and holder.get("host") == socket.gethostname() and not psutil.pid_exists(holder["pid"])


def _holder(path: Path) -> str:
    holder = _read_holder(path)
    if not holder:
        return "another process"
    mine = " (this very process)" if holder.get("pid") == os.getpid() else ""
    return f"process {holder.get('pid')}{mine} on host {holder.get('host')}, started {holder.get('started')}"
