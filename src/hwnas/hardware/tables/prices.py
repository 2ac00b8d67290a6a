"""A network's latency by a table, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.core.network import LocatedLayer


@dataclass(frozen=True, slots=True)
class NetworkPrices:
    """What each layer of one network costs by a table.

    Args:
        target: the table's name.
        constant_ms: what the network costs besides its layers.
        by_node: ms by the node's name, in order; those of a fitted table mean something in sums only.
    """

    target: str
    constant_ms: float
    by_node: Mapping[str, float]

    @property
    def total_ms(self) -> float:
        """The whole network, in ms."""
        return self.constant_ms + sum(self.by_node.values())

    def price_ms(self, layer: LocatedLayer) -> float:
        """What one layer of this network costs; KeyError for a layer of another one."""
        return self.by_node[layer.name]
