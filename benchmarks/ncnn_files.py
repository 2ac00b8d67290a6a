"""How near ncnn's scores are to torch's, what a borrowed array does to them, and what a file costs. Prints JSON.

Errors are the largest difference from torch in f64 over the deviation of its scores; beside ncnn stand ONNX Runtime and
torch in f32 on the same arrays. "random" arrays are those that networks are timed with, "used" ones have batch-norms
with random scales and shifts, which in deep networks lets small differences grow. Times are process CPU time, the
engines taken in turn; a ratio is the median over rounds.

    python benchmarks/ncnn_files.py --networks proxyless-cpu mobilenet-v2 --rounds 15
"""

import argparse
import json
import time
from statistics import median

import numpy as np
import torch

from hwnas.formats.arrays import random_arrays
from hwnas.formats.ncnn_reading import read_ncnn
from hwnas.hardware.engines import open_engine
from hwnas.networks.catalogue import NETWORKS, published
from hwnas.nn.build import build, load_arrays
from hwnas.runs.provenance import environment
from hwnas.testing.engines import used_arrays

ENGINES = ("ncnn", "onnxruntime")


def error(found, expected) -> float | None:
    """None where scores are not finite: such weights let a network overflow."""
    worst = float(np.abs(found - expected).max() / expected.std())
    return worst if np.isfinite(worst) else None


def scores_of_torch(network, arrays, images, kind) -> np.ndarray:
    module = build(network).eval()
    load_arrays(module, arrays)
    with torch.inference_mode():
        return module.to(kind)(torch.from_numpy(images).to(kind)).numpy()


def agreement(name: str) -> dict:
    network = published(name).network()
    images = np.random.default_rng(2).standard_normal((2, *network.input_shape), dtype=np.float32)
    found = {}
    for kind, arrays in (("random", random_arrays(network, 0)), ("used", used_arrays(network, 1))):
        exact = scores_of_torch(network, arrays, images, torch.float64)
        row = {"torch": error(scores_of_torch(network, arrays, images, torch.float32), exact)}
        for target in ENGINES:
            engine = open_engine(target)
            row[target] = error(engine.predict(engine.write(network, arrays), images), exact)
        found[kind] = row
    return found


def borrowed(name: str) -> dict:
    """The same image handed to ncnn in several ways: error, correlation, and how many of its values ncnn saw wrong."""
    import ncnn

    network = published(name).network()
    arrays, engine = used_arrays(network, 1), open_engine("ncnn")
    image = np.random.default_rng(2).standard_normal(network.input_shape, dtype=np.float32)
    expected = scores_of_torch(network, arrays, image[None], torch.float32)[0]
    loaded = engine._network(engine.write(network, arrays), network.input_shape)
    channels_last = np.ascontiguousarray(image.transpose(1, 2, 0)).transpose(2, 0, 1)
    for _ in range(3):  # otherwise the first freed image goes back to the system, and reading it ends the process
        image.copy()
    ways = {
        "Mat(array)": lambda: ncnn.Mat(image),
        "Mat(array).clone()": lambda: ncnn.Mat(image).clone(),
        "Mat(temporary)": lambda: ncnn.Mat(image.copy()),
        "Mat(temporary).clone()": lambda: ncnn.Mat(image.copy()).clone(),
        "Mat(strided).clone()": lambda: ncnn.Mat(channels_last).clone(),
    }
    found = {}
    for way, given in ways.items():
        wrong = int((np.array(given()) != image).sum())
        scores = np.array(engine._scores(loaded, given()))
        correlation = float(np.corrcoef(scores, expected)[0, 1])
        found[way] = {"wrong_values": wrong, "error": error(scores, expected), "correlation": correlation}
    return found


def by_layer(name: str) -> list[dict]:
    """Layer by layer, with the image held and with a temporary one: the error of the values that torch has modules for.

    Of the temporary one also how many values are more than a thousandth of a deviation off.
    """
    import ncnn

    network = published(name).network()
    arrays, engine = used_arrays(network, 1), open_engine("ncnn")
    image = np.random.default_rng(2).standard_normal(network.input_shape, dtype=np.float32)
    module, expected = build(network).eval(), {"images": image}
    load_arrays(module, arrays)
    for place, part in module.named_modules():
        part.register_forward_hook(
            lambda _, __, value, place=place: expected.update({place or "scores": value[0].numpy()})
        )
    with torch.inference_mode():
        module(torch.from_numpy(image[None]))
    model = engine.write(network, arrays)
    loaded = engine._network(model, network.input_shape)
    lines = [line.split() for line in read_ncnn(model).param.decode().splitlines()[2:]]
    written = {line[4 + int(line[2])]: line[0] for line in lines}
    rows = []
    ways = {"held": lambda: ncnn.Mat(image).clone(), "temporary": lambda: ncnn.Mat(image.copy())}
    for blob in [blob for blob in written if blob in expected]:
        row: dict = {"blob": blob, "kind": written[blob], "values": expected[blob].size}
        for way, given in ways.items():
            extractor = loaded.create_extractor()
            extractor.input("images", given())
            found = np.array(extractor.extract(blob)[1]).reshape(expected[blob].shape)
            row[way] = error(found, expected[blob])
            row[f"{way}_wrong"] = int((np.abs(found - expected[blob]) > 1e-3 * expected[blob].std()).sum())
        rows.append(row)
    return rows


def costs(name: str, rounds: int) -> dict:
    """CPU milliseconds of writing a file, loading it (which runs it once), and running it."""
    network = published(name).network()
    arrays = random_arrays(network, 0)
    engines = {target: open_engine(target) for target in ENGINES}
    rows: dict[str, list[float]] = {}
    for turn in range(rounds + 1):  # the first warms up
        for target, engine in engines.items():
            marks = [time.process_time()]
            model = engine.write(network, arrays)
            marks.append(time.process_time())
            run = engine.load(model, network.input_shape)
            marks.append(time.process_time())
            run()
            marks.append(time.process_time())
            if target == "ncnn":
                read_ncnn(model)
                marks.append(time.process_time())
            for part, start, end in zip(("write", "load", "run", "check"), marks, marks[1:], strict=False):
                if turn:
                    rows.setdefault(f"{target} {part}", []).append(1000 * (end - start))
    ratios = {
        part: median(a / b for a, b in zip(rows[f"ncnn {part}"], rows[f"onnxruntime {part}"], strict=True))
        for part in ("write", "load", "run")
    }
    spread = {what: [min(row), median(row), max(row)] for what, row in rows.items()}
    return {"cpu_ms_least_median_most": spread, "ncnn_over_onnxruntime": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=["proxyless-cpu"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "environment": environment(),
        "engines": {target: open_engine(target).fingerprint() for target in ENGINES},
        "agreement": {name: agreement(name) for name in options.networks},
        "borrowed": borrowed(options.networks[0]),
        "by_layer": by_layer(options.networks[0]),
        "costs": costs(options.networks[0], options.rounds),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
