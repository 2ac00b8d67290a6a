"""Which settings suit a controller? Chosen where NAS-Bench-Macro plays no part. Prints JSON, and a table to stderr.

The problem: Once-for-All's published accuracy predictor at 224 pixels in the place of trainings, its Galaxy Note10
latency table, and a limit. Both files are at github.com/han-cai/files. Scores are predicted accuracies of the best of
so many distinct networks inside the limit, in percent.

    python benchmarks/controller_settings.py acc_predictor.pth 224_lookup_table.yaml --seeds 20
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from math import inf
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch

from hwnas.compose.spaces import open_space
from hwnas.controllers.categorical import CategoricalController, CategoricalSettings
from hwnas.controllers.evolution import EvolutionController, EvolutionSettings
from hwnas.controllers.guided import GuidedSettings
from hwnas.controllers.random import RandomController
from hwnas.controllers.recurrent import RecurrentController, RecurrentSettings
from hwnas.core.architecture import Architecture, Option
from hwnas.core.objective import objective
from hwnas.core.protocols import NoCheckpoints, Silence
from hwnas.core.seeds import rng_for
from hwnas.core.trial import Quality
from hwnas.evaluation.in_order import in_order
from hwnas.hardware.tables.layer_table import LayerTable
from hwnas.hardware.tables.store import TableStore
from hwnas.runs.provenance import environment
from hwnas.strategies.black_box import BlackBoxSettings, Problem, search
from hwnas.strategies.guided import controller as guided
from hwnas.workflows.tables import import_table

KERNELS, EXPANSIONS = (3, 5, 7), (3, 4, 6)
SPACE = open_space("ofa-mobilenet-v3", (3, 224, 224), 1000, 1.2)
EVALUATIONS = (50, 100, 200)
CONTROLLERS = {"random": RandomController} | {
    f"evolution {population}/{sample}/{rate:g}": (EvolutionController, EvolutionSettings(population, sample, rate))
    for population, sample in ((10, 5), (20, 5), (20, 10), (20, 20), (30, 15), (40, 20), (50, 25), (100, 25))
    for rate in (0.0, 0.1)
} | {
    f"guided {founders}/{parents}/{mutations}/{candidates}/{trust:g}":
    (guided, GuidedSettings(founders, parents, mutations, candidates, trust))
    for founders, parents, mutations, candidates, trust in (
        (10, 5, 3, 100, 10), (5, 5, 3, 100, 10), (20, 5, 3, 100, 10), (10, 1, 3, 100, 10), (10, 20, 3, 100, 10),
        (10, 5, 1, 100, 10), (10, 5, 8, 100, 10), (10, 5, 3, 200, 10), (10, 5, 3, 100, 1), (10, 5, 3, 100, 100),
    )
} | {
    f"reinforce {lr:g}/{entropy:g}": (CategoricalController, CategoricalSettings(lr, entropy_weight=entropy))
    for lr in (0.1, 0.2, 0.4, 0.8) for entropy in (0.0, 1e-3)
} | {
    f"ppo {batch}/{epochs}/{lr:g}/{entropy:g}":
    (RecurrentController, RecurrentSettings(lr, entropy, batch=batch, epochs=epochs))
    for batch, epochs, lr, entropy in (
        (20, 5, 0.00035, 1e-5), (20, 5, 0.003, 1e-5), (10, 5, 0.001, 1e-5), (10, 5, 0.003, 1e-5), (10, 10, 0.001, 1e-5),
        (5, 3, 0.001, 1e-5), (5, 3, 0.003, 1e-5), (5, 3, 0.003, 1e-3),
    )
} | {
    f"policy-gradient {batch}/{lr:g}/{entropy:g}":
    (RecurrentController, RecurrentSettings(lr, entropy, batch=batch, epochs=1, clip=None))
    for batch, lr, entropy in ((10, 0.005, 1e-5), (10, 0.01, 1e-5), (5, 0.003, 1e-5), (5, 0.01, 1e-5), (5, 0.01, 1e-3))
}  # fmt: skip


class AdditiveLatency:
    """The table's latency of a network in ms, from its latencies of the shallowest change of each choice.

    The table's rows depend on a block and its place alone, so this is exact; `__init__` checks it.
    """

    def __init__(self, latency: LayerTable) -> None:
        def whole(options: dict[str, Option]) -> float:
            return latency.cost(SPACE.decode(SPACE.choices.architecture(options))).value

        choices = SPACE.choices.choices
        blocks = [choice.name.removesuffix(".kernel") for choice in choices if choice.name.endswith(".kernel")]
        smallest = {choice.name: choice.options[0] for choice in choices}
        deepest = {**smallest, **{choice.name: 4 for choice in choices if choice.name.endswith(".depth")}}
        self._deepest_ms = whole(deepest)
        self._blocks = {
            (block, kernel, expansion):
            whole({**deepest, f"{block}.kernel": kernel, f"{block}.expansion": expansion}) - self._deepest_ms
            for block in blocks for kernel in KERNELS for expansion in EXPANSIONS
        }  # fmt: skip
        self._depths = {
            (choice.name, depth): whole({**deepest, choice.name: depth}) - self._deepest_ms
            for choice in choices if choice.name.endswith(".depth") for depth in choice.options
        }  # fmt: skip
        for draw in range(20):
            arch = SPACE.choices.sample(rng_for(0, "additive", draw))
            if abs(self(arch) - latency.cost(SPACE.decode(arch)).value) > 1e-6:
                raise SystemExit(f"the table is not additive over the choices: {arch}")

    def __call__(self, arch: Architecture) -> float:
        """Milliseconds."""
        options = arch.as_dict()
        total = self._deepest_ms
        for name, option in options.items():
            if name.endswith(".depth"):
                total += self._depths[name, option]
            elif name.endswith(".kernel"):
                block = name.removesuffix(".kernel")
                total += self._blocks[block, option, options[f"{block}.expansion"]]
        return total


class Predictor:
    """The published network: 20 blocks by 3 kernels, by 3 expansions, 8 resolutions; three hidden layers of ReLU."""

    def __init__(self, path: Path) -> None:
        state = torch.load(path, weights_only=True, map_location="cpu")
        self._layers = [(state[f"{i}.weight"].double().numpy(), state[f"{i}.bias"].double().numpy()) for i in
                        (0, 2, 4, 6)]  # fmt: skip

    def evaluate(self, arch: Architecture) -> Quality:
        """The predicted accuracy."""
        row = np.zeros(128)
        row[127] = 1.0  # 224 pixels
        options = arch.as_dict()
        for block in range(20):
            name = f"stage{block // 4 + 1}.block{block % 4}"
            if f"{name}.kernel" in options:
                row[3 * block + KERNELS.index(options[f"{name}.kernel"])] = 1.0
                row[60 + 3 * block + EXPANSIONS.index(options[f"{name}.expansion"])] = 1.0
        for weight, bias in self._layers[:-1]:
            row = np.maximum(weight @ row + bias, 0.0)
        weight, bias = self._layers[-1]
        accuracy = float((weight @ row + bias)[0])
        return Quality(1.0 - accuracy, accuracy, 10_000, "table")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("predictor", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--limit-ms", type=float, default=48.0)
    parser.add_argument("--proposals", type=int, default=20, help="for each evaluation, at most")
    parser.add_argument("--batch", type=int, default=1, help="proposals that are observed together")
    parser.add_argument("--only", default="", help="controllers whose name begins so")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        latency = import_table([options.table], "note10", store=TableStore(Path(folder))).table
    predictor, latency_ms, rows = Predictor(options.predictor), AdditiveLatency(latency), []
    problem = Problem(
        SPACE.choices, lambda asked: [{"latency": latency_ms(arch)} for arch in asked], partial(in_order, predictor)
    )
    wanted = objective("hard-limit", {} if options.limit_ms == inf else {"latency": options.limit_ms})

    for name, made in CONTROLLERS.items():
        if not name.startswith(options.only):
            continue
        kind, settings = made if isinstance(made, tuple) else (made, None)
        best = []
        for seed in range(options.seeds):
            controller = kind(SPACE.choices, seed, settings) if settings else kind(SPACE.choices, seed)
            found = search(
                controller, problem, wanted,
                BlackBoxSettings(max(EVALUATIONS), options.batch, options.proposals),
                checkpoints=NoCheckpoints(), progress=Silence(),
            )  # fmt: skip
            best.append([100 * one.score if (one := found.best(n)) else 0.0 for n in EVALUATIONS])
        columns = list(zip(*best, strict=True))
        rows.append({"controller": name, "mean": [round(fmean(c), 3) for c in columns],
                     "deviation": [round(stdev(c), 3) for c in columns]})  # fmt: skip
        print(name.ljust(26), *(f"{fmean(c):.3f} ± {stdev(c):.3f}  " for c in columns), file=sys.stderr, flush=True)
    print(json.dumps({
        "benchmark": "controller_settings", "seeds": options.seeds, "limit_ms": options.limit_ms,
        "proposals": options.proposals, "batch": options.batch, "evaluations": EVALUATIONS, "machine": environment(),
        "rows": rows,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
