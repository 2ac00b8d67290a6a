"""What a borrowed array does to ncnn's scores, layer by layer, and what reading a file costs. Prints JSON.

Agreement and costs beside ONNX Runtime are those of `engine_files.py`.

    python benchmarks/ncnn_files.py --networks proxyless-cpu mobilenet-v2 --rounds 15
"""

import argparse
import json
import time
from statistics import median

import numpy as np
import torch

from engine_files import BESIDE, agreement, costs, error, scores_of_torch
from hwnas.formats.arrays import random_arrays
from hwnas.formats.ncnn_reading import read_ncnn
from hwnas.hardware.engines import open_engine
from hwnas.networks.catalogue import NETWORKS, published
from hwnas.nn.build import build, load_arrays
from hwnas.runs.provenance import environment
from hwnas.testing.engines import used_arrays


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


def check_cpu_ms(name: str, rounds: int) -> list[float]:
    """Of reading a file line by line, which is a part of loading it: least, median, most."""
    network = published(name).network()
    model = open_engine("ncnn").write(network, random_arrays(network, 0))
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        read_ncnn(model)
        taken.append(1000 * (time.process_time() - start))
    return [min(taken), median(taken), max(taken)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=["proxyless-cpu"])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "environment": environment(),
        "engines": {target: open_engine(target).fingerprint() for target in ("ncnn", BESIDE)},
        "agreement": {name: agreement(name, "ncnn") for name in options.networks},
        "borrowed": borrowed(options.networks[0]),
        "by_layer": by_layer(options.networks[0]),
        "costs": costs(options.networks[0], "ncnn", options.rounds),
        "check_cpu_ms_least_median_most": check_cpu_ms(options.networks[0], options.rounds),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
