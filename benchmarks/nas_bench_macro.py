"""How good is the best of 50, 100 and 200 networks? Searches of NAS-Bench-Macro, of which all are trained. Prints JSON.

A table goes to stderr. Every search may evaluate so many distinct networks of the 3,969; repeats are free, and with a
limit on multiply-adds a network over it is not evaluated; at most 20 times as many proposals. Accuracies are means over
the three trainings of the benchmark, in percent, and the spread is that of the seeds (standard deviation).

Random search has a known answer, the expected largest of n drawn without replacement: it checks the harness.

    python benchmarks/nas_bench_macro.py nas-bench-macro_cifar10.json --seeds 200
"""

import argparse
import json
import sys
import time
from math import comb, inf
from pathlib import Path
from statistics import fmean, stdev

from hwnas.compose.controllers import CONTROLLERS
from hwnas.core.objective import objective
from hwnas.core.protocols import Silence
from hwnas.runs.provenance import environment
from hwnas.strategies.black_box import BlackBoxSettings
from hwnas.workflows.search_table import KnownNetworks, read_macro_table, search_table


def expected_best(known: KnownNetworks, limit: float, draws: int) -> float:
    """Percent: each rank is the largest of the draws as often as all others lie below it."""
    ranked = sorted(100 * accuracy for arch, accuracy in known.accuracies.items() if known.macs[arch] <= limit)
    ways = [comb(rank, draws - 1) for rank in range(len(ranked))]
    total = sum(ways)
    return sum(way / total * accuracy for way, accuracy in zip(ways, ranked, strict=True))


def row(known: KnownNetworks, strategy: str, limit: float, evaluations: list[int], seeds: int) -> dict:
    began = time.process_time()
    wanted = objective("hard-limit", {} if limit == inf else {"macs": limit})
    found = search_table(
        known, CONTROLLERS[strategy].make, wanted, BlackBoxSettings(max(evaluations)), range(seeds), Silence()
    )
    best = [[100 * (one.best(n) or one.evaluated[0]).accuracy for one in found.searched] for n in evaluations]
    return {
        "strategy": strategy, "limit_macs": None if limit == inf else limit, "evaluations": evaluations,
        "mean": [round(fmean(values), 4) for values in best], "deviation": [round(stdev(values), 4) for values in best],
        "found_the_best": fmean(one.best().architecture == found.optimum.architecture for one in found.searched),
        "optimum": round(100 * found.optimum.accuracy, 4), "expected_of_random": [
            round(expected_best(known, limit, n), 4) for n in evaluations
        ],
        "evaluated": fmean(len(one.evaluated) for one in found.searched),
        "proposals": fmean(one.proposals for one in found.searched), "cpu_s": round(time.process_time() - began, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--strategies", nargs="+", default=list(CONTROLLERS))
    parser.add_argument("--limits", type=float, nargs="+", default=[inf, 60e6, 40.5e6], help="multiply-adds")
    parser.add_argument("--evaluations", type=int, nargs="+", default=[50, 100, 200])
    options = parser.parse_args()
    known, rows = read_macro_table(options.table), []
    for limit in options.limits:
        for strategy in options.strategies:
            rows.append(row(known, strategy, limit, options.evaluations, options.seeds))
            last = rows[-1]
            figures = "  ".join(f"{m:.3f} ± {d:.3f}" for m, d in zip(last["mean"], last["deviation"], strict=True))
            share = f"best found {last['found_the_best']:.0%}, {last['proposals']:.0f} proposals, {last['cpu_s']} s"
            print(f"{limit:<10g} {strategy:<10} {figures}  {share}", file=sys.stderr)
    settings = {name: str(CONTROLLERS[name].settings) for name in options.strategies}
    print(json.dumps({
        "benchmark": "nas_bench_macro", "seeds": options.seeds, "settings": settings, "machine": environment(),
        "rows": rows,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
