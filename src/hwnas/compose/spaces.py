"""Search spaces by name, fitted to images and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.core.architecture import Architecture
from hwnas.core.errors import InputError, UnknownName, quoted
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import SearchSpace
from hwnas.spaces import macro, mnasnet, ofa, proxyless, toy, tunas, tunas_mobilenet_v3
from hwnas.spaces.finding import find
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.outline import EncodedSpace

if TYPE_CHECKING:
    from hwnas.workflows.describing import FoundIn

SPACES: dict[str, KnownSpace] = {
    name: known
    for module in (proxyless, macro, tunas, tunas_mobilenet_v3, ofa, mnasnet, toy)
    for name, known in module.KNOWN.items()
}
_OWN_OF_AUTO = "proxyless-small"


def open_space(name: str, input_shape: Shape, classes: int, width: float = 1.0) -> SearchSpace:
    """A search space fitted to images and classes.

    Args:
        name: one of SPACES, or "auto" for one that fits the resolution.
        input_shape: (channels, height, width).
        classes: at least 2.
        width: multiplies every width.

    Raises:
        UnknownName: no such space.
        InputError: the images or the width do not fit it.
    """
    if name == "auto":
        side = min(input_shape[1:])
        name = "proxyless-small" if side <= 40 else "proxyless-medium" if side <= 128 else "proxyless-imagenet"
        name = "toy" if input_shape == SPACES["toy"].own.input_shape else name  # images that no other space takes
    return _known(name, ["auto"]).fitted(input_shape, classes, width)


def own_space(
    name: str, resolution: int | None, channels: int | None, classes: int | None, width: float
) -> SearchSpace:  # fmt: skip
    """A search space without images: what is left open is as the space's authors have it, or 32 pixels for "auto".

    Args:
        name: one of SPACES, or "auto" for one that fits the resolution.
        resolution: side of the images in pixels.
        channels: of the images.
        classes: at least 2.
        width: multiplies every width.

    Raises:
        UnknownName: no such space.
        InputError: a value that does not fit it.
    """
    own = _known(_OWN_OF_AUTO if name == "auto" else name, ["auto"]).own
    shape = own.input_shape
    shape = (channels or shape[0], resolution or shape[1], resolution or shape[2])
    return open_space(name, shape, classes or own.classes, width)


def space_of(arch: Architecture, input_shape: Shape | None, classes: int | None) -> SearchSpace:
    """The space that an architecture names, fitted to images and classes.

    Args:
        arch: names its space.
        input_shape: (channels, height, width); None for the space's own.
        classes: None for the space's own.

    Raises:
        UnknownName: no such space.
    """
    return _named_with_width(arch.space.split("@")[0], input_shape, classes)


def find_in_space(network: NetworkSpec, name: str) -> FoundIn:
    """A network as an architecture of a space as its authors have it.

    Args:
        network: a chain of layers.
        name: of the space, with its width where that is another one: "ofa-mobilenet-v3-w1.2".

    Raises:
        UnknownName: no such space.
        InputError: the network does not lie in it; names the first layer that the space lacks, and what it offers.
    """
    from hwnas.workflows.describing import FoundIn

    space = _named_with_width(name, None, None)
    found = find(space, network)
    encoding = space.encoding(found.architecture) if isinstance(space, EncodedSpace) else None
    return FoundIn(found.architecture, encoding, found.differences)


def _named_with_width(full: str, input_shape: Shape | None, classes: int | None) -> SearchSpace:
    """A space by its name, behind which "-w" and a width may stand."""
    name, _, width = (full, "", "") if full in SPACES else full.rpartition("-w")
    known = _known(name or full)
    try:
        factor = float(width) if width else 1.0
    except ValueError:
        raise InputError(f"space {quoted(full)}: {quoted(width)} is no width") from None
    return known.fitted(input_shape or known.own.input_shape, classes or known.own.classes, factor)


def _known(name: str, others: list[str] | None = None) -> KnownSpace:
    if name not in SPACES:
        raise UnknownName("space", name, [*SPACES, *(others or [])])
    return SPACES[name]
