"""Every target that is installed: how far its scores are from torch's in f64, what a network costs on it. Prints JSON.

Errors are the largest difference over the deviation of the scores: on the contract networks with batch-norms that do
something, on the published one with the weights that networks are timed with. Quantised targets are calibrated on the
very images that they are judged on.

The latency is process CPU time of one thread, all targets in one process, in an order drawn anew for every round; the
ratio is to onnxruntime-f32 in the same round.

    python benchmarks/engines.py --network mobilenet-v2 --rounds 15 --seed 0
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator

import numpy as np
import torch

from hwnas.compose.networks import open_network
from hwnas.core.errors import HwnasError
from hwnas.core.network import NetworkSpec
from hwnas.core.protocols import Engine
from hwnas.formats.arrays import random_arrays
from hwnas.hardware.engines import ENGINES, open_engine
from hwnas.nn.build import build, load_arrays
from hwnas.runs.provenance import environment
from hwnas.testing.engines import networks, used_arrays

BASE = "onnxruntime-f32"
IMAGES = 8


def spent_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def images_of(network: NetworkSpec, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((IMAGES, *network.input_shape), dtype=np.float32)


def error(engine: Engine, network: NetworkSpec, arrays: dict, file: bytes, seed: int) -> float:
    """The largest difference of a score from torch's in f64, in standard deviations of the scores."""
    images, module = images_of(network, seed), build(network).eval()
    load_arrays(module, arrays)
    with torch.inference_mode():
        expected = module.double()(torch.from_numpy(images).double()).numpy()
    return float(np.abs(engine.predict(file, images) - expected).max() / expected.std())


def rounds_of(runners: dict, rounds: int, calls: int, seed: int) -> dict[str, np.ndarray]:
    """CPU ms of a call by target, one number a round."""
    rng, taken = np.random.default_rng(seed), {name: np.zeros(rounds) for name in runners}
    for number in range(-1, rounds):  # the first one warms up
        for name in rng.permutation(list(runners)):
            runners[name]()
            before = time.process_time_ns()
            for _ in range(calls):
                runners[name]()
            taken[name][number] = (time.process_time_ns() - before) / calls / 1e6
    return taken


def opened(names: list[str]) -> Iterator[tuple[str, Engine]]:
    for name in names:
        try:
            yield name, open_engine(name)
        except HwnasError as reason:
            print(json.dumps({"left out": name, "reason": str(reason)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", default="mobilenet-v2")
    parser.add_argument("--targets", nargs="*", default=list(ENGINES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    network = open_network(options.network).network
    rows, runners = {}, {}
    for name, engine in opened(options.targets):
        errors = {}
        for what, small in networks().items():
            arrays = used_arrays(small, options.seed)
            file = engine.write(small, arrays, images_of(small, options.seed))
            errors[what] = error(engine, small, arrays, file, options.seed)
        arrays, before = random_arrays(network, options.seed), spent_s()
        file = engine.write(network, arrays, images_of(network, options.seed))
        rows[name] = {**engine.fingerprint(), "file_bytes": len(file), "write_cpu_s": round(spent_s() - before, 2)}
        errors[options.network] = error(engine, network, arrays, file, options.seed)
        rows[name]["error"] = {what: float(f"{found:.2g}") for what, found in errors.items()}
        runners[name] = engine.load(file, network.input_shape)
    taken = rounds_of(runners, options.rounds, options.calls, options.seed)
    for name, cpu_ms in taken.items():
        low, middle, high = np.percentile(cpu_ms / taken.get(BASE, cpu_ms), (25, 50, 75))
        rows[name]["cpu_ms"] = round(float(np.median(cpu_ms)), 3)
        rows[name][f"ratio_to_{BASE}"] = {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}
    print(json.dumps({
        "benchmark": "engines", "settings": vars(options), "machine": environment(), "targets": rows,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
