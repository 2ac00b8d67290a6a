"""Do ShuffleNetV2's four guidelines for fast networks hold on each engine? Prints JSON; a table goes to stderr.

The paper's experiments (Ma et al. 2018, section 2, tables 1 to 4): networks with equally many multiply-accumulates
(MACs), measured side by side. G1 unequal widths, G2 groups, G3 fragments in series and in parallel, G4 without ReLU and
without shortcut; ten blocks, 56 pixels, the paper's channels. Where these differ by more than 2 % in MACs, one is moved
(G1: 456 for 432). "by 16" is the same with multiples of 16 alone at 28 pixels, so that no vector is left half empty and
most values fit the core's own cache.

A network begins with a 1×1 convolution from three channels and ends with ten scores; MACs are those of the blocks. A
ratio is the median over a session's rounds of a variant's process CPU time by the first variant's in the same round;
what is told is the median over sessions, with their 95 % t-interval.

    python benchmarks/guidelines.py --targets onnxruntime-f32 ncnn-f32 --seed 0
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from statistics import median

import numpy as np

from hwnas.core.counting import count
from hwnas.core.layers import Act, Classifier, ConvBnAct, LayerSpec, Sum
from hwnas.core.network import NetworkSpec, Node
from hwnas.hardware.engines import ENGINES, open_engine
from hwnas.hardware.model_files import untrained
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import open_target
from hwnas.hardware.timing import Measurement, measure, t_interval
from hwnas.runs.provenance import environment

BLOCKS = 10
Block = Callable[[str, str], list[Node]]  # the block's name, the node before -> its nodes, the last one its value
Variants = dict[str, tuple[int, Block]]  # by name: channels that a block reads and writes, and the block


def conv(channels: int, kernel: int = 1, groups: int = 1, activation: str = "relu") -> LayerSpec:
    return ConvBnAct(channels, kernel, groups=groups, activation=activation)


def series(*layers: LayerSpec) -> Block:
    return lambda name, before: [Node(f"{name}.conv{index}", layer) for index, layer in enumerate(layers)]


def parallel(fragments: int, layer: LayerSpec) -> Block:
    """Equal layers side by side, added."""

    def block(name: str, before: str) -> list[Node]:
        branches = [Node(f"{name}.conv{index}", layer, (before,)) for index in range(fragments)]
        return [*branches, Node(f"{name}.sum", Sum(), tuple(branch.name for branch in branches))]

    return block


def bottleneck(channels: int, middle: int, relu: bool, shortcut: bool) -> Block:
    """ResNet's: 1×1, 3×3, 1×1, the shortcut, and ReLU behind all three, behind the sum where there is one."""
    activation = "relu" if relu else ""
    last = "" if shortcut else activation
    convs = series(conv(middle, 1, 1, activation), conv(middle, 3, 1, activation), conv(channels, 1, 1, last))

    def block(name: str, before: str) -> list[Node]:
        nodes = convs(name, before)
        if shortcut:
            nodes.append(Node(f"{name}.sum", Sum(), (nodes[-1].name, before)))
            nodes += [Node(f"{name}.relu", Act("relu"))] if relu else []
        return nodes

    return block


def widths(*pairs: tuple[int, int]) -> Variants:
    return {f"{a}:{b}": (a, series(conv(b), conv(a))) for a, b in pairs}


def grouped(*channels: int) -> Variants:
    return {f"g={1 << i} ({c})": (c, series(conv(c, groups=1 << i))) for i, c in enumerate(channels)}


def fragments(one: int, two: int, four: int) -> Variants:
    return {
        f"1 ({one})": (one, series(conv(one))),
        f"2 in series ({two})": (two, series(conv(two), conv(two))),
        f"4 in series ({four})": (four, series(*[conv(four)] * 4)),
        f"2 in parallel ({two})": (two, parallel(2, conv(two))),
        f"4 in parallel ({four})": (four, parallel(4, conv(four))),
    }


def element_wise(channels: int, middle: int) -> Variants:
    kept = {"both": (True, True), "ReLU": (True, False), "shortcut": (False, True), "neither": (False, False)}
    return {name: (channels, bottleneck(channels, middle, *one)) for name, one in kept.items()}


GUIDELINES: dict[str, tuple[int, Variants]] = {  # by name: pixels a side, and the networks
    "G1": (56, widths((128, 128), (90, 180), (52, 312), (36, 456))),
    "G1 by 16": (28, widths((160, 160), (112, 224), (64, 400), (48, 528))),
    "G2": (56, grouped(128, 180, 256, 360)),
    "G2 by 16": (28, grouped(320, 448, 640, 896)),
    "G3": (56, fragments(128, 90, 64)),
    "G3 by 16": (28, fragments(160, 112, 80)),
    "G4": (56, element_wise(128, 32)),
}


def network(pixels: int, width: int, block: Block, blocks: int = BLOCKS) -> NetworkSpec:
    """The blocks one behind another, between a convolution that widens the image and ten scores."""
    nodes = [Node("stem", conv(width))]
    for index in range(blocks):
        nodes += block(f"block{index}", nodes[-1].name)
    return NetworkSpec((3, pixels, pixels), (*nodes, Node("classifier", Classifier(10))))


def networks(guideline: str, pixels: int | None) -> tuple[dict[str, NetworkSpec], dict[str, int]]:
    """The variants, of other images where a side is given, and the MACs of their blocks, by name."""
    own, variants = GUIDELINES[guideline]
    pixels = pixels or own
    found = {name: network(pixels, *variant) for name, variant in variants.items()}
    macs = {
        name: count(found[name]).macs - count(network(pixels, *variant, blocks=0)).macs
        for name, variant in variants.items()
    }
    first = next(iter(macs.values()))
    assert all(50 * abs(one - first) <= first for one in macs.values()), f"{guideline}: MACs differ by over 2 %: {macs}"
    return found, macs


def ratios(one: Measurement, first: Measurement) -> list[float]:
    """Of two files measured side by side, one ratio a session; targets of one thread."""
    sessions = zip(one.raw, first.raw, strict=True)
    return [float(np.median(np.divide(own.cpu_ms, other.cpu_ms))) for own, other in sessions]


def measured(guideline: str, target_name: str, options: argparse.Namespace) -> dict[str, dict]:
    """A guideline's networks on one target, side by side."""
    variants, macs = networks(guideline, options.pixels)
    engine, target = open_engine(target_name), open_target(target_name, next(iter(variants.values())).input_shape)
    files = {name: untrained(one, engine).content for name, one in variants.items()}
    found = measure(target, files, TargetStore(), sessions=options.sessions, seed=options.seed)
    first, rows = next(iter(found.values())), {}
    for name, one in found.items():
        by_session = ratios(one, first)
        rows[name] = {
            "macs": macs[name], "ms": one.median_ms, "interval_ms": one.interval_ms, "ratio": median(by_session),
            "interval": t_interval(by_session), "sessions": by_session, "doubts": [doubt.name for doubt in one.doubts],
        }  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--targets", nargs="+", default=list(ENGINES))
    parser.add_argument("--guidelines", nargs="+", choices=GUIDELINES, default=list(GUIDELINES))
    parser.add_argument("--pixels", type=int, help="a side, for the guideline's own")
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows: dict[str, dict[str, dict]] = {}
    for guideline in options.guidelines:
        rows[guideline] = {}
        for target in options.targets:
            row = measured(guideline, target, options)
            rows[guideline][target] = {"load": os.getloadavg()[0], "variants": row}
            said = "  ".join(f"{name} {one['ratio']:.2f}" + "!" * bool(one["doubts"]) for name, one in row.items())
            print(f"{guideline:<9} {target:<17} {said}", file=sys.stderr, flush=True)
    print(json.dumps({
        "benchmark": "guidelines", "settings": vars(options), "machine": environment(), "guidelines": rows,
    }, indent=2))  # fmt: skip


if __name__ == "__main__":
    main()
