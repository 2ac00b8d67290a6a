"""Our LiteRT file of an exported network beside the one that Google's converter makes of it. Prints JSON.

Operators in order of their number, the scores of both against each other, and process CPU time of one call: one thread,
XNNPACK, both files in turn; the ratio is the median over rounds. The converter needs an environment of its own:

    hwnas export proxyless-mobile --random-weights --out DIR
    cd DIR && python -c "import torch, litert_torch as t; from network import load; \
t.convert(t.to_channel_last_io(load(), args=[0]), (torch.zeros(1, 224, 224, 3),)).export('converted.tflite')"
    python benchmarks/litert_beside.py DIR --rounds 30
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from statistics import median

import numpy as np
from safetensors.numpy import load_file

from hwnas.core.network import NetworkSpec
from hwnas.formats.litert_file import to_litert
from hwnas.runs.provenance import environment


def opened(model: bytes):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def scores(interpreter, images_BHWC: np.ndarray) -> np.ndarray:
    (images,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(images["index"], images_BHWC)
    interpreter.invoke()
    return interpreter.get_tensor(found["index"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=5, help="in a row, of one sample")
    options = parser.parse_args()
    network = NetworkSpec.from_json(json.loads((options.directory / "network.json").read_text()))
    start = time.process_time()
    ours = to_litert(network, load_file(options.directory / "weights.safetensors"))
    written_s = time.process_time() - start
    files = {"ours": ours, "converted": (options.directory / "converted.tflite").read_bytes()}
    loaded = {name: opened(model) for name, model in files.items()}
    channels, height, width = network.input_shape
    images = np.random.default_rng(0).standard_normal((1, height, width, channels), dtype=np.float32)
    found = {name: scores(one, images) for name, one in loaded.items()}
    samples: dict[str, list[float]] = {name: [] for name in files}
    order = np.random.default_rng(0)
    for turn in range(options.rounds + 1):  # the first warms up
        for name in order.permutation(list(files)):
            loaded[name].invoke()
            start = time.process_time()
            for _ in range(options.calls):
                loaded[name].invoke()
            if turn:
                samples[name].append(1000 * (time.process_time() - start) / options.calls)
    ratios = [ours / theirs for ours, theirs in zip(samples["ours"], samples["converted"], strict=True)]
    result = {
        "environment": environment(),
        "written_cpu_s": written_s,
        "bytes": {name: len(model) for name, model in files.items()},
        "operators": {
            name: Counter(one["op_name"] for one in interpreter._get_ops_details()).most_common()
            for name, interpreter in loaded.items()
        },
        "largest_difference_in_deviations": float(
            np.abs(found["ours"] - found["converted"]).max() / found["converted"].std()
        ),
        "cpu_ms_least_median_most": {name: [min(row), median(row), max(row)] for name, row in samples.items()},
        "ours_over_converted": {"median": median(ratios), "quartiles": list(np.quantile(ratios, [0.25, 0.75]))},
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
