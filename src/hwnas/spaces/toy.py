"""`toy`: 27 networks small enough to train them all, on images whose label needs a known receptive field.

Three plain convolutions in a row, each with kernel 3, 5 or 7. The first two cost three times as many multiply-adds a
tap as the last, so that a large kernel is cheapest at the end. The images show two bright bars; the label says how far
apart they are, which no network can tell whose receptive field is smaller than the smaller distance plus one. Inside
the budget, one architecture alone reaches that: 3, 3, 7. Its cost is counted, so the optimum is known before anything
is trained; the truth of all 27 networks (benchmarks/toy_truth.py trained them) lies beside this file, for searches
without training.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

import numpy as np

from hwnas.core.architecture import Architecture
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Slot
from hwnas.spaces.chain import decode_chain
from hwnas.spaces.known import KnownSpace

HEIGHT, WIDTH = 4, 32  # pixels
DISTANCES = (10, 12)  # of the two bars, in pixels, by label
BUDGET_MACS = 6_900 * HEIGHT * WIDTH
OPTIMUM = ("k3", "k3", "k7")


@dataclass(frozen=True)
class ToySpace:
    """Three convolutions, kernel 3, 5 or 7 each."""

    input_shape: Shape = (1, HEIGHT, WIDTH)
    classes: int = len(DISTANCES)

    @cached_property
    def choices(self) -> ChoiceSpace:
        """The kernels of "conv1", "conv2" and "conv3"."""
        slots = [place for place in self.chain() if isinstance(place, Slot)]
        return ChoiceSpace("toy@1", tuple(Choice(slot.choice, tuple(slot.options)) for slot in slots))

    def chain(self) -> tuple[Slot | tuple[str, LayerSpec], ...]:
        """A 1×1 stem, the three slots, the classifier."""
        widths = {"conv1": 24, "conv2": 8, "conv3": 8}
        slots = (
            Slot(name, name, {f"k{kernel}": ConvBnAct(width, kernel, activation="relu") for kernel in (3, 5, 7)})
            for name, width in widths.items()
        )
        return (("stem", ConvBnAct(8, 1, activation="relu")), *slots, ("classifier", Classifier(self.classes)))

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture."""
        return decode_chain(self.input_shape, self.chain(), self.choices.canonical(arch))

    def uniform_architectures(self) -> dict[str, Architecture]:
        """The same kernel everywhere."""
        return {option: self.choices.architecture(dict.fromkeys(self._names, option)) for option in ("k3", "k5", "k7")}

    @property
    def optimum(self) -> Architecture:
        """The best architecture inside BUDGET_MACS."""
        return self.choices.architecture(dict(zip(self._names, OPTIMUM, strict=True)))

    @property
    def _names(self) -> list[str]:
        return [choice.name for choice in self.choices.choices]


def toy_space(input_shape: Shape, classes: int, width: float = 1.0) -> ToySpace:
    """The toy, which fits nothing but its own images.

    Raises:
        InputError: other images.
    """
    toy = ToySpace()
    if input_shape != toy.input_shape:
        raise InputError(f"space 'toy' works on its own images only: use --data toy, not {input_shape}")
    return toy


def receptive_field(arch: Architecture) -> int:
    """Of the last convolution, in pixels."""
    return 1 + sum(int(str(option)[1:]) - 1 for _, option in arch.choices)


def toy_images(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two vertical bars on noise.

    Args:
        count: images, half of each label.
        rng: draws positions and noise.

    Returns:
        Images (count, HEIGHT, WIDTH) uint8 and labels (count,) int64.
    """
    labels = np.arange(count) % len(DISTANCES)
    images = rng.normal(60.0, 5.0, size=(count, HEIGHT, WIDTH))
    # Both bars may stand anywhere, the second one wrapped around: no bar alone, and no border, gives the label away.
    first = rng.integers(0, WIDTH, size=count)
    rows = np.arange(count)
    images[rows, :, first] += 120
    images[rows, :, (first + np.asarray(DISTANCES)[labels]) % WIDTH] += 120
    order = rng.permutation(count)
    return images.clip(0, 255).astype(np.uint8)[order], labels[order].astype(np.int64)


def toy_truth() -> dict[Architecture, float]:
    """Mean test accuracy of every network, 0 to 1, as benchmarks/toy_truth.py measured it with three seeds."""
    data = json.loads((files("hwnas.spaces") / "toy_truth.json").read_text())
    names = [choice.name for choice in ToySpace().choices.choices]
    return {
        Architecture("toy@1", tuple(zip(names, row["options"], strict=True))): row["accuracy"]
        for row in data["networks"]
    }


KNOWN = {
    "toy": KnownSpace(
        "27 networks whose best one is known, for trying strategies in seconds (with --data toy)", ToySpace(), toy_space
    )
}
