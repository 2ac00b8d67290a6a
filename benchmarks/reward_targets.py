"""Where does a search end for which weight of latency? What made TuNAS choose the absolute value. JSON, and a plot.

Each reward is given to REINFORCE (independent categoricals, as in TuNAS) with weights β from weak to strong, on the
problem of controller_settings.py: Once-for-All's accuracy predictor, and its Galaxy Note10 latency table. The search
ends after so many proposals; its result is the likeliest architecture.

    python benchmarks/reward_targets.py acc_predictor.pth 224_lookup_table.yaml --plot docs/images/rewards.svg
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import fmean, stdev

from controller_settings import SPACE, AdditiveLatency, Predictor
from hwnas.controllers.categorical import CategoricalController, CategoricalSettings
from hwnas.core.objective import AbsoluteReward, Objective, PowerReward
from hwnas.core.protocols import NoCheckpoints, Silence
from hwnas.evaluation.in_order import in_order
from hwnas.hardware.tables.store import TableStore
from hwnas.runs.provenance import environment
from hwnas.strategies.black_box import BlackBoxSettings, Problem, search
from hwnas.workflows.tables import import_table

BETAS = (-0.01, -0.02, -0.05, -0.1, -0.2, -0.5, -1.0, -2.0)
REWARDS = {
    "soft: Q·(T/T0)^β": lambda target, beta: PowerReward("latency", target, beta, beta),
    "hard: Q·min((T/T0)^β, 1)": lambda target, beta: PowerReward("latency", target, 0.0, beta),
    "absolute: Q + β·|T/T0 - 1|": lambda target, beta: AbsoluteReward("latency", target, beta),
}


def ended(problem: Problem, reward: Objective, proposals: int, lr: float, seed: int) -> tuple[float, float]:
    """(latency in ms, predicted accuracy) of the likeliest architecture."""
    controller = CategoricalController(problem.choices, seed, CategoricalSettings(lr))
    settings = BlackBoxSettings(proposals, proposals_per_evaluation=1)
    search(controller, problem, reward, settings, checkpoints=NoCheckpoints(), progress=Silence())
    arch = controller.best_guess()
    (quality,) = problem.evaluate([arch])
    return problem.price([arch])[0]["latency"], quality.accuracy


def plot(rows: list[dict], target_ms: float, path: Path) -> None:
    """Final latency against the weight, one line a reward, the standard deviation over seeds as a bar."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "rewards", "svg.fonttype": "none", "font.family": "sans-serif"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for (name, marker), colour in zip(zip(REWARDS, "os^", strict=True), ("C0", "C1", "C2"), strict=True):
        own = [row for row in rows if row["reward"] == name]
        axes.errorbar(
            [-row["beta"] for row in own], [row["latency_ms"] for row in own], [row["deviation_ms"] for row in own],
            marker=marker, color=colour, capsize=3, label=name,
        )  # fmt: skip
    axes.axhline(target_ms, color="black", linestyle="--", linewidth=1, label=f"target T0 = {target_ms:g} ms")
    axes.set(
        xscale="log", xlabel="weight of latency, −β", ylabel="latency of the result, ms (Note10 table)", ylim=(0, None)
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("predictor", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--target-ms", type=float, default=32.0)
    parser.add_argument("--proposals", type=int, default=4000)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        latency_ms = AdditiveLatency(import_table([options.table], "note10", store=TableStore(Path(folder))).table)
    evaluate = partial(in_order, Predictor(options.predictor))
    problem = Problem(SPACE.choices, lambda asked: [{"latency": latency_ms(arch)} for arch in asked], evaluate)
    rows = []
    for name, made in REWARDS.items():
        for beta in BETAS:
            reward = made(options.target_ms, beta)
            found = [ended(problem, reward, options.proposals, options.lr, seed) for seed in range(options.seeds)]
            latencies, accuracies = zip(*found, strict=True)
            rows.append({
                "reward": name, "beta": beta, "latency_ms": round(fmean(latencies), 2),
                "deviation_ms": round(stdev(latencies), 2), "accuracy": round(100 * fmean(accuracies), 3),
            })  # fmt: skip
            print(name.ljust(28), rows[-1], file=sys.stderr, flush=True)
    if options.plot:
        plot(rows, options.target_ms, options.plot)
    print(json.dumps({
        "benchmark": "reward_targets", "target_ms": options.target_ms, "proposals": options.proposals,
        "lr": options.lr, "seeds": options.seeds, "machine": environment(), "rows": rows,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
