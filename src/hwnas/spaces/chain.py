"""What every chain-shaped space does alike: from the places of its chain to a network."""

from __future__ import annotations

from collections.abc import Iterable

from hwnas.core.architecture import Architecture
from hwnas.core.layers import LayerSpec, Zero
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Slot


def decode_chain(
    input_shape: Shape, chain: Iterable[Slot | tuple[str, LayerSpec]], arch: Architecture
) -> NetworkSpec:  # fmt: skip
    """The network of an architecture; removed layers leave no node.

    Args:
        input_shape: (channels, height, width).
        chain: slots and fixed layers in order.
        arch: canonical.
    """
    placed = (
        Node(place.position, place.options[arch[place.choice]]) if isinstance(place, Slot) else Node(*place)
        for place in chain
    )
    return NetworkSpec(input_shape, tuple(node for node in placed if not isinstance(node.layer, Zero)))
