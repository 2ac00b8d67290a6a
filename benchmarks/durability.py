"""What it costs that nothing is lost: store, checkpoints, seals and fsync as a share of a run. Prints JSON.

Pass mark: under 2 % of the wall time and of the CPU time, each the median over runs. A fit of `make demo` with the
schedule of --effort; "quick" has a quarter of the demo's steps and half as many checkpoints, so it stands above the
demo's share. The time is taken around every call into the run directory, the outermost one counts.

    python benchmarks/durability.py --runs 3 --effort quick
"""

import argparse
import functools
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median

import hwnas
from hwnas.runs import canonical, checkpoints, clock, directory, files, lock, store, stored
from hwnas.runs.provenance import environment
from hwnas.training.state import LoopState
from hwnas.workflows import disk, fit  # noqa: F401  so that every module that writes is there to be watched

CLASSES = {
    "checkpoints": [(checkpoints.CheckpointDirectory, ("latest", "save", "clear")),
                    (LoopState, ("save", "restore", "is_finite"))],
    "store": [(store.RunStore, ("__init__", "close", "is_empty", "stage", "finish_stage", "stages", "mark", "marks",
                                "measurement", "add_measurement", "measurements", "add_trial", "trial", "trials",
                                "import_measurements"))],
    "run directory": [(directory.RunDirectory, ("open", "close", "metrics", "finish")), (lock.RunLock, ("take",)),
                      (clock.Stopwatch, ("__init__", "spent"))],
}  # fmt: skip
FUNCTIONS = {
    "files": (files.write_atomically, files.write_sealed_json),
    "hashes": (canonical.canonical_sha256, stored.file_digests),
    "space needed": (disk.check_disk, disk.fit_need),
}


class Watch:
    """Wall and CPU seconds by part; calls inside calls count once, for the outermost."""

    def __init__(self) -> None:
        self.wall, self.cpu, self.calls = Counter(), Counter(), Counter()
        self._depth = 0

    def around(self, part, function):
        """The function, timed."""

        @functools.wraps(function)
        def timed(*arguments, **named):
            self._depth += 1
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.wall[part] += time.perf_counter() - wall
                    self.cpu[part] += time.process_time() - cpu
                    self.calls[part] += 1

        return timed


def instrument(watch: Watch) -> None:
    for part, classes in CLASSES.items():
        for kind, names in classes:
            for name in names:
                static = isinstance(kind.__dict__[name], staticmethod)
                timed = watch.around(part, getattr(kind, name))
                setattr(kind, name, staticmethod(timed) if static else timed)
    for part, functions in FUNCTIONS.items():
        for function in functions:
            timed = watch.around(part, function)
            for module in [module for name, module in sys.modules.items() if name.startswith("hwnas.")]:
                if getattr(module, function.__name__, None) is function:
                    setattr(module, function.__name__, timed)


def one_run(watch: Watch, number: int, folder: Path, options: argparse.Namespace) -> dict:
    watch.__init__()
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    result = hwnas.fit(options.data, budget=options.budget, out=folder / f"run-{number}", effort=options.effort).result
    wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
    return {
        "wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1), "status": result["status"],
        "wall_share": round(sum(watch.wall.values()) / wall, 5),
        "cpu_share": round(sum(watch.cpu.values()) / cpu, 5),
        "parts": {part: {"calls": watch.calls[part], "wall_seconds": round(watch.wall[part], 3),
                         "cpu_seconds": round(watch.cpu[part], 3)} for part in (*CLASSES, *FUNCTIONS)},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--budget", default="40%")
    parser.add_argument("--effort", default="quick")
    parser.add_argument("--out", help="where the runs lie; the disk is part of what is measured")
    options = parser.parse_args()
    watch = Watch()
    instrument(watch)
    with tempfile.TemporaryDirectory(dir=options.out) as folder:
        os.environ["HWNAS_CACHE"] = str(Path(folder) / "cache")
        runs = [one_run(watch, number, Path(folder), options) for number in range(options.runs)]
    wall, cpu = (median(run[name] for run in runs) for name in ("wall_share", "cpu_share"))
    print(json.dumps({
        "benchmark": "durability", "settings": vars(options), "machine": environment(), "runs": runs,
        "median": {"wall_share": wall, "cpu_share": cpu},
        "passes": {"wall < 2 %": wall < 0.02, "cpu < 2 %": cpu < 0.02},
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
