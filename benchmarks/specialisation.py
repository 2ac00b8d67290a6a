"""Is each network best at home? Once-for-All's space at 224 pixels, searched for each engine, measured on all.

Prints JSON. Quality is what Once-for-All's published accuracy predictor says at 224 pixels (its file is at
github.com/han-cai/files), so nothing is trained. For every target the latency model of the space is built; evolution
searches the most accurate network inside a limit, which is a share of the largest network's latency there; then every
network is measured on every target, side by side.

    python benchmarks/specialisation.py acc_predictor.pth --targets onnxruntime-f32 openvino-bf16 ncnn-f32 litert-f32

With --networks it measures networks made for some device on every target instead: published names, or their files.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from functools import partial
from math import inf
from pathlib import Path
from statistics import fmean

from controller_settings import SPACE, AdditiveLatency, Predictor
from hwnas.compose import Fitting, open_network
from hwnas.controllers.evolution import EvolutionController, EvolutionSettings
from hwnas.core.architecture import Architecture
from hwnas.core.counting import count
from hwnas.core.network import NetworkSpec
from hwnas.core.objective import objective
from hwnas.core.protocols import NoCheckpoints, Silence
from hwnas.evaluation.in_order import in_order
from hwnas.hardware.engines import open_engine
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.model_files import untrained
from hwnas.hardware.profiling import profile
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import open_target
from hwnas.hardware.timing import measure
from hwnas.runs.provenance import environment
from hwnas.strategies.black_box import BlackBoxSettings, Problem, search

SHAPE = SPACE.input_shape


def largest() -> Architecture:
    """The deepest network with the widest blocks and the largest kernels."""
    ends = {"depth": 4, "kernel": 7, "expansion": 6}
    options = {choice.name: ends[choice.name.rsplit(".", 1)[1]] for choice in SPACE.choices.choices}
    return SPACE.choices.architecture(options)


def searched(model: LatencyModel, predictor: Predictor, limit_ms: float, evaluations: int, seed: int) -> Architecture:
    """The most accurate network that evolution finds inside the limit."""
    latency_ms = AdditiveLatency(model)
    problem = Problem(
        SPACE.choices, lambda asked: [{"latency": latency_ms(arch)} for arch in asked], partial(in_order, predictor)
    )
    controller = EvolutionController(SPACE.choices, seed, EvolutionSettings(100, 25, 0.1))
    wanted = objective("hard-limit", {} if limit_ms == inf else {"latency": limit_ms})
    found = search(
        controller, problem, wanted, BlackBoxSettings(evaluations), checkpoints=NoCheckpoints(), progress=Silence()
    )
    return found.best(evaluations).architecture


def in_words(arch: Architecture) -> dict[str, float]:
    """Depth, mean kernel and mean expansion, over live blocks."""
    options = arch.as_dict()
    kinds = {kind: [v for name, v in options.items() if name.endswith(f".{kind}")] for kind in ("kernel", "expansion")}
    return {"blocks": len(kinds["kernel"]), **{f"mean_{kind}": fmean(values) for kind, values in kinds.items()}}


def measured(networks: dict[str, NetworkSpec], target_name: str, sessions: int) -> dict[str, dict]:
    """Every network on one target, side by side."""
    target, engine = open_target(target_name, SHAPE), open_engine(target_name)
    files = {name: untrained(network, engine).content for name, network in networks.items()}
    found = measure(target, files, TargetStore(), sessions=sessions)
    return {
        name: {"ms": one.median_ms, "interval_ms": one.interval_ms, "doubts": [doubt.name for doubt in one.doubts]}
        for name, one in found.items()
    }


def own_networks(options: argparse.Namespace) -> tuple[dict[str, NetworkSpec], dict[str, dict]]:
    """One searched network a target, and what is known of it."""
    predictor, networks, rows = Predictor(options.predictor), {}, {}
    for name in options.targets:
        began = time.process_time()
        model = profile(open_target(name, SHAPE), SPACE, TargetStore(), seed=options.seed, held_out=12)
        limit_ms = options.share * model.cost(SPACE.decode(largest())).value
        arch = searched(model, predictor, limit_ms, options.evaluations, options.seed)
        networks[name] = SPACE.decode(arch)
        rows[name] = {
            "limit_ms": limit_ms, "predicted_ms": model.cost(networks[name]).value,
            "accuracy": predictor.evaluate(arch).accuracy, "macs": count(networks[name]).macs,
            "params": count(networks[name]).params, **in_words(arch),
            "model": {"kind": model.kind, "mape_percent": model.quality.mape_percent,
                      "tau": model.quality.kendall_tau, "macs_mape_percent": model.quality.macs_mape_percent},
            "cpu_s": time.process_time() - began, "architecture": arch.to_json(),
        }  # fmt: skip
        print(name, {key: value for key, value in rows[name].items() if key != "architecture"}, file=sys.stderr)
    return networks, rows


def given_networks(sources: list[str]) -> tuple[dict[str, NetworkSpec], dict[str, dict]]:
    """Networks by name or file, and their sizes."""
    networks = {Path(source).stem: open_network(source, Fitting(SHAPE)).network for source in sources}
    return networks, {name: asdict(count(network)) for name, network in networks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("predictor", type=Path)
    parser.add_argument("--targets", nargs="+", required=True)
    parser.add_argument("--share", type=float, default=0.4, help="of the largest network's latency")
    parser.add_argument("--evaluations", type=int, default=3000)
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--networks", nargs="+", default=[], help="measured instead of searched ones")
    options = parser.parse_args()
    networks, rows = given_networks(options.networks) if options.networks else own_networks(options)
    matrix = {name: measured(networks, name, options.sessions) for name in options.targets}
    for target, row in matrix.items():
        print(target.ljust(20), *(f"{name} {one['ms']:.3f}" for name, one in row.items()), file=sys.stderr)
    print(json.dumps({
        "benchmark": "specialisation", "settings": {**vars(options), "predictor": options.predictor.name},
        "machine": environment(), "networks": rows, "matrix": matrix,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
