"""CIFAR-10 from a local pack at several budgets and seeds: accuracy, latency, baselines, images seen. Prints JSON.

python benchmarks/cifar10.py --data PATH/cifar10_jpeg.npz --budgets 25% 50% --seeds 1 --out runs/cifar10
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--budgets", nargs="+", default=["25%", "50%"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", default="runs/cifar10")
    parser.add_argument("--space", default="proxyless-cifar")
    parser.add_argument("--width", default="0.5")
    parser.add_argument("--search-steps", default="2500")
    parser.add_argument("--train-steps", default="1500")
    parser.add_argument("--batch-size", default="128")
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        for budget in options.budgets:
            out = Path(options.out) / f"{budget.strip('%')}-percent-seed-{seed}"
            command = [
                sys.executable, "-m", "hwnas", "fit", "--data", options.data, "--budget", budget, "--out", str(out),
                "--space", options.space, "--width", options.width, "--search-steps", options.search_steps,
                "--train-steps", options.train_steps, "--batch-size", options.batch_size, "--seed", str(seed),
            ]  # fmt: skip
            done = subprocess.run(command, stdout=sys.stderr, check=False)
            result = json.loads((out / "result.json").read_text())
            rows.append(summary(result, done.returncode))
    print(json.dumps({"benchmark": "cifar10", "settings": vars(options), "runs": rows}, indent=2))


def summary(result: dict, exit_code: int) -> dict:
    return {
        "budget": result["budget"]["text"],
        "budget_ms": result["budget"]["latency_ms"],
        "seed": result["seed"],
        "exit_code": exit_code,
        "cpu_minutes": round(sum(row["cpu_seconds"] for row in result["compute"]) / 60, 1),
        "images_seen_by_the_search": result["search"]["images_seen"],
        "networks": [
            {
                "role": row["role"],
                "test_accuracy": row["accuracy"]["test"],
                "interval": row["accuracy"]["interval"],
                "latency_ms": row["latency"]["median_ms"],
                "latency_interval_ms": row["latency"]["interval_ms"],
                "predicted_ms": row["predicted_ms"],
                "params": row["params"],
                "macs": row["macs"],
                "weights": row["weights"],
            }
            for row in [result["network"], *result["baselines"]]
        ],
        "comparison": [row["verdict"] for row in result["comparison"]],
    }


if __name__ == "__main__":
    main()
