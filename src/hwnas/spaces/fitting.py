"""What every space checks when it is fitted to images, classes and a width."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from hwnas.core.errors import InputError
from hwnas.core.primitives import Shape


def check_fit(space: str, strides: Iterable[int], input_shape: Shape, classes: int, width: float) -> None:
    """Whether a space can be made for these images.

    Args:
        space: its name.
        strides: of the whole network, stem included.
        input_shape: (channels, height, width) of the images; twice the product of the strides a side, or more.
        classes: at least 2.
        width: multiplier of all widths, 0.1 to 4.

    Raises:
        InputError: a value out of range, or images too small for the strides.
    """
    shrink = prod(strides)
    if min(input_shape[1:]) < 2 * shrink:
        raise InputError(
            f"space {space!r} shrinks images {shrink}-fold, so {input_shape[1]}x{input_shape[2]} pixels are too few: "
            f"use --resolution {2 * shrink} or more, or a space for smaller images"
        )
    if not 0.1 <= width <= 4 or classes < 2:
        raise InputError(f"a space needs a width from 0.1 to 4 and at least 2 classes, not {width:g} and {classes}")


def versioned(space: str, width: float) -> str:
    """The name that architectures carry: "toy@1", or "toy-w0.5@1" where a width multiplier makes other networks."""
    return f"{space}@1" if width == 1.0 else f"{space}-w{width:g}@1"
