"""Runs many commands in one process, one after another, and says how each ended: a JSON request in, JSON lines out."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

HUNG_AFTER_S = 120  # a guard for what would never end, such as a read of a pipe; no test asserts a time on the clock


def peak_mb() -> float:
    """Of this process since `forget_peak`, and of any child that has ended, in MiB."""
    here = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(int(here.split()[1]), children) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def hung(*_: Any) -> None:
    raise TimeoutError("it hangs")


def outcome(arguments: list[str], at: str, environment: dict[str, str]) -> dict[str, Any]:
    """How one command ended."""
    from hwnas.cli import run

    os.chdir(at)
    os.environ.update(environment)
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    code, escaped = None, ""
    forget_peak()
    before = cpu_seconds()
    signal.alarm(HUNG_AFTER_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(arguments)
    except BaseException:  # whatever comes out here would be a traceback
        escaped = traceback.format_exc()
    finally:
        signal.alarm(0)
        cpu = cpu_seconds() - before
    texts = {}
    for name, stream in (("out", out), ("err", err)):
        stream.flush()
        texts[name] = stream.buffer.getvalue().decode("utf-8", "replace")  # type: ignore[attr-defined]
    return {"code": code, "escaped": escaped, "cpu_s": cpu, "peak_mb": peak_mb(), **texts}


def main() -> None:
    signal.signal(signal.SIGALRM, hung)
    for line in sys.stdin:
        request = json.loads(line)
        sys.stdout.write(json.dumps(outcome(**request)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
