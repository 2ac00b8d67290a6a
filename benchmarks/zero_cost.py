"""How well do zero-cost scores order networks of which all are trained? NAS-Bench-Macro, CIFAR-10. Prints JSON.

A table goes to stderr. Each seed draws its own networks, weights and batch. Beside the scores stand what costs nothing
at all: multiply-adds, parameters, and the number of inverted bottlenecks. tau is Kendall's, with the mean test accuracy
of three trainings; "first ten" is the mean true accuracy of the ten that a score puts first, in percent. CPU time is
that of one network in one thread, building included.

    OMP_NUM_THREADS=1 python benchmarks/zero_cost.py nas-bench-macro_cifar10.json cifar10.npz --networks 200 --seeds 3
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import fmean, stdev

import torch
from scipy.stats import kendalltau

from hwnas.core.architecture import Architecture
from hwnas.core.counting import count
from hwnas.core.layers import MBConv
from hwnas.core.seeds import rng_for
from hwnas.data.images import ImageData
from hwnas.data.sources import load_data
from hwnas.evaluation.zero_cost import BATCH, SCORES, ZeroCost
from hwnas.runs.provenance import environment
from hwnas.spaces.macro import MacroSpace
from hwnas.training.device import TrainingDevice
from hwnas.workflows.search_table import KnownNetworks, read_macro_table

FIRST = 10


def counted(space: MacroSpace, arch: Architecture) -> dict[str, float]:
    network = space.decode(arch)
    counts = count(network)
    blocks = sum(isinstance(node.layer, MBConv) for node in network.nodes)
    return {"macs": counts.macs, "params": counts.params, "blocks": blocks}


def figures(merits: list[float], truth: list[float], cpu_s: float) -> dict[str, float]:
    first = sorted(range(len(truth)), key=lambda i: -merits[i])[:FIRST]
    return {
        "tau": float(kendalltau(merits, truth).statistic), "first_ten": 100 * fmean(truth[i] for i in first),
        "cpu_ms": 1000 * cpu_s / len(truth),
    }  # fmt: skip


def one_seed(data: ImageData, known: KnownNetworks, options: argparse.Namespace, seed: int) -> dict[str, dict]:
    space = MacroSpace()
    rng = rng_for(seed, "benchmark", "zero-cost")
    drawn = rng.choice(len(known.accuracies), options.networks, replace=False)
    archs = [list(known.accuracies)[int(i)] for i in drawn]
    truth = [known.accuracies[arch] for arch in archs]
    rows = {"any ten": {"first_ten": 100 * fmean(truth)}}
    for name in SCORES:
        ranker = ZeroCost(space, data, name, seed=seed, device=TrainingDevice("cpu"), images=options.images)
        began = time.process_time()
        merits = [ranker.evaluate(arch).merit for arch in archs]
        rows[name] = figures(merits, truth, time.process_time() - began)
        print(f"seed {seed}  {name:<14} {rows[name]}", file=sys.stderr, flush=True)
    counts = [counted(space, arch) for arch in archs]
    for name in counts[0]:
        rows[name] = figures([one[name] for one in counts], truth, 0.0)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("images_file", help="CIFAR-10, as --data of hwnas takes it")
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--images", type=int, default=BATCH, help="of the batch")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known, data = read_macro_table(options.table), load_data(options.images_file)
    found = [one_seed(data, known, options, seed) for seed in range(options.seeds)]
    rows = []
    for name in found[0]:
        row: dict = {"score": name}
        for key in found[0][name]:
            values = [one[name][key] for one in found]
            row[key] = {"mean": fmean(values), "deviation": stdev(values) if len(values) > 1 else None, "seeds": values}
        rows.append(row)
        said = "  ".join(f"{key} {row[key]['mean']:.3f} ± {row[key]['deviation'] or 0:.3f}" for key in found[0][name])
        print(f"{name:<14} {said}", file=sys.stderr)
    print(json.dumps({
        "benchmark": "zero_cost", "networks": options.networks, "images": options.images, "seeds": options.seeds,
        "machine": environment(), "rows": rows,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
