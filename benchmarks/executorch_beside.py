"""Our ExecuTorch file of a network beside the one that ExecuTorch's own exporter makes of it. Prints JSON.

CPU seconds to make each file, without imports; how many calls of XNNPACK and of other kernels the exporter's file has;
the scores of both against each other; and process CPU time of one call: one thread, both files in turn, the ratio by
round.

    python benchmarks/executorch_beside.py --networks mobilenet-v2 mobilenet-v3-large --rounds 30 --seed 0
"""

import argparse
import json
import resource
import time
from collections import Counter

import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.extension.pybindings import _C as runtime

from hwnas.compose.networks import open_network
from hwnas.core.network import NetworkSpec
from hwnas.formats.arrays import Arrays, random_arrays
from hwnas.formats.executorch_file import to_executorch
from hwnas.nn.build import build, load_arrays
from hwnas.runs.provenance import environment
from hwnas.testing.engines import networks


def spent_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def exported(network: NetworkSpec, arrays: Arrays) -> tuple[bytes, dict[str, int]]:
    """The exporter's file, and how often it calls what."""
    module = build(network).eval()
    load_arrays(module, arrays)
    lowered = to_edge_transform_and_lower(
        torch.export.export(module, (torch.zeros(1, *network.input_shape),)), partitioner=[XnnpackPartitioner()]
    )
    nodes = lowered.exported_program().graph.nodes
    calls = Counter(str(node.target) for node in nodes if node.op == "call_function")
    return bytes(lowered.to_executorch().buffer), dict(calls)


def compared(network: NetworkSpec, rounds: int, calls: int, seed: int) -> dict:
    arrays = random_arrays(network, seed)
    start = spent_s()
    theirs, kernels = exported(network, arrays)
    between = spent_s()
    ours = to_executorch(network, arrays)
    to_make = {"exporter": round(between - start, 2), "ours": round(spent_s() - between, 2)}
    images = torch.from_numpy(np.random.default_rng(seed).standard_normal((1, *network.input_shape), dtype=np.float32))
    files = {"exporter": theirs, "ours": ours}
    programs = {name: runtime._load_program_from_buffer(file) for name, file in files.items()}
    methods = {name: program.load_method("forward") for name, program in programs.items()}
    scores = {name: method.call((images,))[0].numpy() for name, method in methods.items()}
    rng, taken = np.random.default_rng(seed), {name: np.zeros(rounds) for name in files}
    for number in range(-1, rounds):  # the first one warms up
        for name in rng.permutation(list(files)):
            methods[name].call((images,), False)
            before = time.process_time_ns()
            for _ in range(calls):
                methods[name].call((images,), False)
            taken[name][number] = (time.process_time_ns() - before) / calls / 1e6
    low, middle, high = np.percentile(taken["ours"] / taken["exporter"], (25, 50, 75))
    return {
        "to_make_cpu_s": to_make,
        "bytes": {name: len(file) for name, file in files.items()},
        "exporter_calls": kernels,
        "largest_difference_in_deviations": float(np.ptp(list(scores.values()), axis=0).max() / scores["ours"].std()),
        "cpu_ms": {name: round(float(np.median(row)), 3) for name, row in taken.items()},
        "ours_over_exporter": {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["mobilenet-v2"])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=3, help="in a row, of one sample")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    runtime._unsafe_reset_threadpool(1)
    small = next(iter(networks().values()))
    exported(small, random_arrays(small, 0))  # the first export of a process pays for what torch loads then
    print(json.dumps({
        "benchmark": "executorch_beside", "settings": vars(options), "machine": environment(), "networks": {
            name: compared(open_network(name).network, options.rounds, options.calls, options.seed)
            for name in options.networks
        },
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
