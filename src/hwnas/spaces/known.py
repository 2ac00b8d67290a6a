"""What every search space says of itself where it can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwnas.core.primitives import Shape
from hwnas.core.protocols import SearchSpace


@dataclass(frozen=True, slots=True)
class KnownSpace:
    """A search space that can be asked for by name.

    Args:
        text: one sentence for a list.
        own: the space with the images, classes and width of its authors.
        fitted: the space for (input shape, classes, width); raises InputError where they do not fit it.
    """

    text: str
    own: SearchSpace
    fitted: Callable[[Shape, int, float], SearchSpace]
