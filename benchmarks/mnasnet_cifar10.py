"""MnasNet on CIFAR-10 at 16 pixels beside random search and the best fixed network, each with as many children at most.

Every child is measured on the target and trained alone. Each run is a whole fit; its report has the front. Prints JSON.

    python benchmarks/mnasnet_cifar10.py --data PATH/cifar10_jpeg.npz --seeds 2 --out runs/mnasnet
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from cifar10 import summary
from hwnas.runs.provenance import environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", default="runs/mnasnet")
    parser.add_argument("--budget", default="30%")
    parser.add_argument("--width", default="0.25")
    parser.add_argument("--evaluations", default="100")
    parser.add_argument("--child-steps", default="120")
    parser.add_argument("--train-steps", default="800")
    parser.add_argument("--batch-size", default="128")
    parser.add_argument("--lr", default="0.03")
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        out = Path(options.out) / f"seed-{seed}"
        command = [
            sys.executable, "-m", "hwnas", "fit", "--data", options.data, "--resolution", "16", "--budget",
            options.budget, "--out", str(out), "--space", "mnasnet-small", "--strategy", "mnasnet", "--width",
            options.width, "--evaluations", options.evaluations, "--child-steps", options.child_steps, "--train-steps",
            options.train_steps, "--batch-size", options.batch_size, "--lr",
            options.lr, "--seed", str(seed),
        ]  # fmt: skip
        done = subprocess.run(command, stdout=sys.stderr, check=False)
        result = json.loads((out / "result.json").read_text())
        rows.append({**summary(result, done.returncode), "search": result["search"], "children": children(result)})
    print(json.dumps({
        "benchmark": "mnasnet_cifar10", "settings": vars(options), "machine": environment(), "runs": rows,
    }, indent=2))  # fmt: skip


def children(result: dict) -> dict:
    """Of each source: how many, how many inside the budget, and accuracy on the search split of the best inside."""
    found, planned_ms = {}, result["budget"]["planned_ms"]
    for source in dict.fromkeys(row["source"] for row in result["candidates"]):
        own = [row for row in result["candidates"] if row["source"] == source]
        inside = [row["accuracy"] for row in own if row["predicted_ms"] <= planned_ms]
        halves = [own[: len(own) // 2], own[len(own) // 2 :]]
        found[source] = {
            "listed": len(own), "inside": len(inside), "best_inside": max(inside, default=None),
            "mean_accuracy_of_halves": [sum(row["accuracy"] for row in half) / max(1, len(half)) for half in halves],
            "mean_latency_ms_of_halves": [sum(r["predicted_ms"] for r in half) / max(1, len(half)) for half in halves],
        }  # fmt: skip
    return found


if __name__ == "__main__":
    main()
