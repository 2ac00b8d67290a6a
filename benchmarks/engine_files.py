"""How near the scores of an engine's files are to torch's, and what a file costs to write, load and run. Prints JSON.

Errors are the largest difference from torch in f64 over the deviation of its scores; beside the target stand ONNX
Runtime and torch in f32 on the same arrays. "random" arrays are those that networks are timed with, "used" ones have
batch-norms with random scales and shifts, which in deep networks lets small differences grow. Times are process CPU
time, the engines taken in turn; a ratio is the median over rounds.

    python benchmarks/engine_files.py --target litert --networks proxyless-mobile mobilenet-v3-large --rounds 15
"""

import argparse
import json
import time
from statistics import median

import numpy as np
import torch

from hwnas.formats.arrays import random_arrays
from hwnas.hardware.engines import open_engine
from hwnas.networks.catalogue import NETWORKS, published
from hwnas.nn.build import build, load_arrays
from hwnas.runs.provenance import environment
from hwnas.testing.engines import used_arrays

BESIDE = "onnxruntime"


def error(found, expected) -> float | None:
    """None where scores are not finite: such weights let a network overflow."""
    worst = float(np.abs(found - expected).max() / expected.std())
    return worst if np.isfinite(worst) else None


def scores_of_torch(network, arrays, images, kind) -> np.ndarray:
    module = build(network).eval()
    load_arrays(module, arrays)
    with torch.inference_mode():
        return module.to(kind)(torch.from_numpy(images).to(kind)).numpy()


def agreement(name: str, target: str) -> dict:
    network = published(name).network()
    images = np.random.default_rng(2).standard_normal((2, *network.input_shape), dtype=np.float32)
    found = {}
    for kind, arrays in (("random", random_arrays(network, 0)), ("used", used_arrays(network, 1))):
        exact = scores_of_torch(network, arrays, images, torch.float64)
        row = {"torch": error(scores_of_torch(network, arrays, images, torch.float32), exact)}
        for one in (target, BESIDE):
            engine = open_engine(one)
            row[one] = error(engine.predict(engine.write(network, arrays), images), exact)
        found[kind] = row
    return found


def costs(name: str, target: str, rounds: int) -> dict:
    """CPU milliseconds of writing a file, loading it (which runs it once), and running it."""
    network = published(name).network()
    arrays = random_arrays(network, 0)
    engines = {one: open_engine(one) for one in (target, BESIDE)}
    rows: dict[str, list[float]] = {}
    for turn in range(rounds + 1):  # the first warms up
        for one, engine in engines.items():
            marks = [time.process_time()]
            model = engine.write(network, arrays)
            marks.append(time.process_time())
            run = engine.load(model, network.input_shape)
            marks.append(time.process_time())
            run()
            marks.append(time.process_time())
            for part, start, end in zip(("write", "load", "run"), marks, marks[1:], strict=False):
                if turn:
                    rows.setdefault(f"{one} {part}", []).append(1000 * (end - start))
    ratios = {
        part: median(a / b for a, b in zip(rows[f"{target} {part}"], rows[f"{BESIDE} {part}"], strict=True))
        for part in ("write", "load", "run")
    }
    spread = {what: [min(row), median(row), max(row)] for what, row in rows.items()}
    return {"cpu_ms_least_median_most": spread, f"over_{BESIDE}": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target", required=True)
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=["proxyless-mobile"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "environment": environment(),
        "engines": {one: open_engine(one).fingerprint() for one in (options.target, BESIDE)},
        "agreement": {name: agreement(name, options.target) for name in options.networks},
        "costs": {name: costs(name, options.target, options.rounds) for name in options.networks},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
