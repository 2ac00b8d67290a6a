"""Is the budget kept? Fits over a range of budgets, each file measured again by another process. Prints JSON.

Budgets run from 1.1 times the space's fastest network to 90 % of its largest. Pass mark: all files inside their budget
when they are measured again (upper end of the 95 % interval over five sessions).

    python benchmarks/budgets_kept.py --runs 10
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from hwnas.runs.provenance import environment


def hwnas(*arguments: str, cache: Path, allowed: tuple[int, ...] = (0,)) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "hwnas", *arguments, "--json"], env={**os.environ, "HWNAS_CACHE": str(cache)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in allowed:
        raise SystemExit(f"{' '.join(arguments)}: exit {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--data", default="mnist5k")
    parser.add_argument("--effort", default="quick")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        common = ("fit", "--data", options.data, "--effort", options.effort, "--baselines", "none", "--quiet")
        # The largest possible budget; its result says how fast the fastest and the largest network are.
        tiny = ("--search-steps", "10", "--train-steps", "10")
        ends = hwnas(*common, *tiny, "--budget", "100%", "--out", f"{folder}/ends", cache=cache, allowed=(0, 3))
        least, most = 1.1 * ends["budget"]["fastest_ms"], 0.9 * ends["budget"]["largest_ms"]
        for number in range(options.runs):
            budget_ms = least + (most - least) * number / max(options.runs - 1, 1)
            out = f"{folder}/run-{number}"
            settings = ("--budget", f"{budget_ms:.6f}ms", "--seed", str(number), "--out", out)
            result = hwnas(*common, *settings, cache=cache, allowed=(0, 3))
            again = hwnas("measure", f"{out}/model.onnx", cache=cache)["latency"]
            rows.append({
                "budget_ms": round(budget_ms, 5), "seed": number, "status": result["status"],
                "predicted_ms": round(result["network"]["predicted_ms"], 5),
                "measured_ms": round(result["network"]["latency"]["median_ms"], 5),
                "again_ms": round(again["median_ms"], 5), "again_upper_ms": round(again["interval_ms"][1], 5),
                "inside": again["interval_ms"][1] <= budget_ms, "used": round(again["median_ms"] / budget_ms, 3),
                "accuracy": result["network"]["accuracy"]["test"], "files_measured": len(result["rounds"]),
            })  # fmt: skip
            print(json.dumps(rows[-1]), file=sys.stderr)
    inside = sum(row["inside"] for row in rows)
    print(json.dumps({
        "benchmark": "budgets_kept", "settings": vars(options), "machine": environment(), "runs": rows,
        "inside": inside, "median_used": median(row["used"] for row in rows),
        "passes": {"all inside": inside == len(rows), "median use >= 85 %": median(r["used"] for r in rows) >= 0.85},
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
