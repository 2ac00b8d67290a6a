"""How much memory this process holds at its peak, as Linux counts it."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

from hwnas.core.errors import TargetUnavailable

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK_ALONE = "5"  # what resets the peak and nothing else: proc(5)


def counts_peaks() -> bool:
    """Whether this system counts them."""
    return _CLEAR.exists()


def begin_peak() -> int:
    """Gives back what is free, starts the peak anew, and returns the bytes that are resident now.

    Raises:
        TargetUnavailable: this system does not count peaks, or does not let them be started anew.
    """
    gc.collect()
    try:
        # Else what was freed before is used again and counts as nothing. Other C libraries than glibc lack it.
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)
        _CLEAR.write_text(_PEAK_ALONE)
        return peak_bytes()
    except OSError as reason:
        raise TargetUnavailable(f"peak memory cannot be measured here, only on Linux: {reason}") from None


def peak_bytes() -> int:
    """The most bytes that were resident at one time since the peak was begun."""
    (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
