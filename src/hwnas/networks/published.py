"""What is known of a published network besides its layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape

IMAGENET, CIFAR10 = "ImageNet", "CIFAR-10"


@dataclass(frozen=True, slots=True)
class Published:
    """A network that somebody published, ready to be built for any images.

    Args:
        name: by which it is asked for, for example "mobilenet-v2".
        title: as its authors write it, for example "MobileNetV2 1.0".
        paper: authors, year and title.
        origin: where its layers were read: a repository, a file, or a table of the paper.
        resolution: side in pixels of the images that it was published for.
        layers: its layers for (input shape, classes, width multiplier).
        scales: whether other widths than 1.0 mean anything.
        data: what it was trained on, IMAGENET or CIFAR10.
        reported_top1: accuracy in percent as its authors report it; None where they report none.
        note: one sentence on where published figures contradict each other; "" where they do not.
        torchvision: the name of the same network there; None without one.
        timm: the name of the same network there; None without one.
    """

    name: str
    title: str
    paper: str
    origin: str
    resolution: int
    layers: Callable[[Shape, int, float], NetworkSpec]
    scales: bool = False
    data: str = IMAGENET
    reported_top1: float | None = None
    note: str = ""
    torchvision: str | None = None
    timm: str | None = None

    @property
    def classes(self) -> int:
        """How many classes its data has."""
        return 1000 if self.data == IMAGENET else 10

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of the images that it was published for."""
        return (3, self.resolution, self.resolution)

    def network(self, input_shape: Shape | None = None, classes: int | None = None, width: float = 1.0) -> NetworkSpec:
        """The network as data.

        Args:
            input_shape: (channels, height, width); None as published.
            classes: None as published.
            width: multiplies its widths, 0.1 to 4; 1.0 as published.

        Raises:
            InputError: it has no other widths, the width is out of range, or the images are too small for it.
        """
        if width != 1.0 and not self.scales:
            raise InputError(f"network {self.name!r} was published with its widths only: leave --width out")
        if not 0.1 <= width <= 4:
            raise InputError(f"a network's width multiplier is 0.1 to 4, not {width:g}")
        return self.layers(input_shape or self.input_shape, classes or self.classes, width)
