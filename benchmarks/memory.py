"""What files take beside time: size and peak memory by target, and what a fit expects of them. Prints JSON.

A published network is weighed in several processes, which says how far they agree. Then networks of a space are: some
that `hwnas fit` learns from, and others that its expectation is held against.

    python benchmarks/memory.py --network mobilenet-v2 --space proxyless-cifar --count 12 --seed 0
"""

import argparse
import json
from statistics import fmean, median

from hwnas.compose.networks import open_network
from hwnas.compose.spaces import open_space
from hwnas.core.network import NetworkSpec
from hwnas.core.seeds import rng_for
from hwnas.hardware.engines import ENGINES, open_engine
from hwnas.hardware.memory import Memory, weigh
from hwnas.hardware.model_files import untrained
from hwnas.hardware.targets import open_target
from hwnas.runs.provenance import environment
from hwnas.workflows.footprint import WEIGHED, ExpectedFootprints
from hwnas.workflows.limits import ends_by_macs


def weighed(target: str, network: NetworkSpec, processes: int) -> tuple[int, Memory]:
    """Bytes of the file, and its memory."""
    file = untrained(network, open_engine(target))
    return len(file.content), weigh(open_target(target, network.input_shape), file, processes=processes)


def published(target: str, network: NetworkSpec, processes: int) -> dict:
    size, memory = weighed(target, network, processes)
    taken = memory.processes_bytes
    return {
        "size_bytes": size,
        "memory_bytes": median(taken),
        "spread_percent": 100 * (max(taken) - min(taken)) / median(taken),
    }


def expectation(target: str, space, number: int, seed: int) -> dict:
    """Errors of the expected sizes and memories of random networks, in per cent of what was found."""
    rng, ends = rng_for(seed, "memory benchmark"), ends_by_macs(space)
    drawn = [space.choices.sample_spread(rng) for _ in range(WEIGHED + number)]
    found = ExpectedFootprints(space, dict.fromkeys(("size", "memory"), 1))
    for arch in (ends.fastest, ends.largest, *drawn[:WEIGHED]):
        size, memory = weighed(target, space.decode(arch), 1)
        found = found.learned(arch, {"size": size, "memory": memory.peak_bytes})
    errors: dict[str, list[float]] = {"size": [], "memory": []}
    for arch in drawn[WEIGHED:]:
        size, memory = weighed(target, space.decode(arch), 1)
        for name, taken in (("size", size), ("memory", memory.peak_bytes)):
            errors[name].append(100 * (found.of(arch)[name] / taken - 1))
    ends_bytes = {name: [taken[name] for _, taken in found.seen[:2]] for name in errors}
    return {
        name: {
            "ends_bytes": ends_bytes[name], "mape": fmean(map(abs, row)), "least": min(row), "greatest": max(row)
        }
        for name, row in errors.items()
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--targets", nargs="+", default=sorted(ENGINES), choices=sorted(ENGINES))
    parser.add_argument("--network", default="mobilenet-v2")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--space", default="proxyless-cifar")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    network = open_network(options.network).network
    space = open_space(options.space, (3, options.resolution, options.resolution), 10, 1.0)
    rows = {
        target: {
            options.network: published(target, network, options.processes),
            options.space: expectation(target, space, options.count, options.seed),
        }
        for target in options.targets
    }
    facts = {"benchmark": "memory", "settings": vars(options), "machine": environment()}
    print(json.dumps({**facts, "targets": rows}, indent=2))


if __name__ == "__main__":
    main()
