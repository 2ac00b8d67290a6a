"""What `make demo` costs and reaches over several seeds: CPU and wall seconds, memory, accuracy. Prints JSON.

Pass marks: at most 400 process-CPU-seconds, peak memory under 2 GB, at least 96.5 % on the fixed 1,000-image test split
(median over seeds).

    python benchmarks/fit_demo.py --seeds 3
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from hwnas.runs.provenance import environment


def run_demo(seed: int, out: Path, cache: Path, budget: str) -> dict:
    command = [sys.executable, "-m", "hwnas", "fit", "--budget", budget, "--out", str(out), "--seed", str(seed)]
    start = time.monotonic()
    child = subprocess.Popen(
        [*command, "--quiet"], stdout=subprocess.DEVNULL, env={**os.environ, "HWNAS_CACHE": str(cache)}
    )
    _, status, usage = os.wait4(child.pid, 0)  # the usage of this child and of all that it waited for
    child.returncode = os.waitstatus_to_exitcode(status)
    result = json.loads((out / "result.json").read_text())
    network = result["network"]
    return {
        "seed": seed,
        "exit_code": child.returncode,
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "wall_seconds": round(time.monotonic() - start, 1),
        "peak_memory_mb": round(usage.ru_maxrss / 1024),
        "test_accuracy": network["accuracy"]["test"],
        "latency_ms": network["latency"]["median_ms"],
        "budget_ms": result["budget"]["latency_ms"],
        "used": round(network["latency"]["median_ms"] / result["budget"]["latency_ms"], 3),
        "baselines": {row["role"]: row["accuracy"]["test"] for row in result["baselines"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="40%")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        runs = [run_demo(seed, Path(folder) / f"seed-{seed}", cache, options.budget) for seed in range(options.seeds)]
    cpu = median(run["cpu_seconds"] for run in runs)
    accuracy = median(run["test_accuracy"] for run in runs)
    memory = max(run["peak_memory_mb"] for run in runs)
    print(json.dumps({
        "benchmark": "fit_demo", "settings": vars(options), "machine": environment(), "runs": runs,
        "median": {"cpu_seconds": cpu, "test_accuracy": accuracy, "peak_memory_mb": memory},
        "passes": {
            "cpu <= 400 s": cpu <= 400, "memory < 2 GB": memory < 2048, "accuracy >= 96.5 %": accuracy >= 0.965,
            "inside the budget": all(run["exit_code"] == 0 for run in runs),
        },
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
