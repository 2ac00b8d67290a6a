"""How good are accuracy predictors that learned from 50 to 400 random networks? Prints JSON, and a table to stderr.

Two truths: NAS-Bench-Macro, of which all networks are trained, and Once-for-All's published accuracy predictor at 224
pixels in the place of trainings. Networks are drawn uniformly without replacement; the test networks of a seed are
drawn first and are the same for all predictors and sizes. Errors are in percentage points. Beside the predictors, two
lines fitted to the same networks: accuracy by multiply-adds, and accuracy by the number of layers.

    python benchmarks/predictors.py nas-bench-macro_cifar10.json acc_predictor.pth --seeds 5
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from controller_settings import SPACE as OFA
from controller_settings import Predictor as Published
from hwnas.controllers.random import RandomOrder
from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.counting import count
from hwnas.core.protocols import SearchSpace
from hwnas.evaluation.predictors import PREDICTORS, HeldOut, held_out
from hwnas.runs.provenance import environment
from hwnas.spaces.macro import MacroSpace
from hwnas.workflows.search_table import read_macro_table

SIZES, TESTED = (50, 100, 200, 400), 500


@dataclass(frozen=True)
class Drawn:
    """Networks with all that is known of them: accuracy, multiply-adds, layers."""

    architectures: list[Architecture]
    accuracies: np.ndarray
    macs: np.ndarray
    layers: np.ndarray

    def part(self, start: int, end: int) -> "Drawn":
        """Those from one place to another."""
        at = slice(start, end)
        return Drawn(self.architectures[at], self.accuracies[at], self.macs[at], self.layers[at])


def drawn(space: SearchSpace, accuracy: Callable[[Architecture], float], seed: int) -> Drawn:
    order = RandomOrder(space.choices, seed)
    architectures = [arch for _ in range(TESTED + max(SIZES)) if (arch := order.deal())]
    networks = [space.decode(arch) for arch in architectures]
    return Drawn(
        architectures, np.array([accuracy(arch) for arch in architectures]),
        np.array([float(count(network).macs) for network in networks]),
        np.array([float(len(network.nodes)) for network in networks]),
    )  # fmt: skip


def line(known: np.ndarray, accuracies: np.ndarray, asked: np.ndarray) -> np.ndarray:
    scale = known.mean()
    return np.polyval(np.polyfit(known / scale, accuracies, 1), asked / scale)


def judged(space: ChoiceSpace, all_of_seed: Drawn, size: int) -> dict[str, tuple[HeldOut, float]]:
    """Every predictor's figures, and the CPU seconds of learning and predicting."""
    test, train = all_of_seed.part(0, TESTED), all_of_seed.part(TESTED, TESTED + size)
    found = {}
    for name, make in PREDICTORS.items():
        began = time.process_time()
        predicted = make(space).fit(train.architectures, train.accuracies.tolist()).predict(test.architectures).means
        found[name] = held_out(predicted, test.accuracies), time.process_time() - began
    for name in ("macs", "layers"):
        predicted = line(getattr(train, name), train.accuracies, getattr(test, name))
        found[f"{name} alone"] = held_out(predicted, test.accuracies), 0.0
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("predictor", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    known, published, rows = read_macro_table(options.table), Published(options.predictor), []
    truths = {
        "nas-bench-macro": (MacroSpace(), known.accuracies.__getitem__),
        "once-for-all": (OFA, lambda arch: published.evaluate(arch).accuracy),
    }
    for truth, (space, accuracy) in truths.items():
        seeds = [drawn(space, accuracy, seed) for seed in range(options.seeds)]
        for size in SIZES:
            by_seed = [judged(space.choices, one, size) for one in seeds]
            for name in by_seed[0]:
                row = {"truth": truth, "networks": size, "predictor": name}
                for figure in ("rmse_points", "mae_points", "kendall_tau"):
                    values = [getattr(one[name][0], figure) for one in by_seed]
                    row[figure] = [round(fmean(values), 4), round(stdev(values), 4)]
                row["cpu_s"] = round(fmean(one[name][1] for one in by_seed), 3)
                rows.append(row)
                figures = "  ".join(f"{row[f][0]:.3f} ± {row[f][1]:.3f}" for f in ("rmse_points", "kendall_tau"))
                print(f"{truth:<16} {size:>4} {name:<17} {figures}  {row['cpu_s']} s", file=sys.stderr, flush=True)
    print(json.dumps({
        "benchmark": "predictors", "seeds": options.seeds, "tested": TESTED, "machine": environment(), "rows": rows,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
