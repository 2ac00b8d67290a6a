"""A network's latency by a table, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwnas.core.cost import Cost
from hwnas.core.errors import InputError
from hwnas.core.network import LocatedLayer, NetworkSpec


@dataclass(frozen=True, slots=True)
class NetworkPrices:
    """What each layer of one network costs by a table. It is a LayerCostModel of that network alone.

    A layer's price depends on more than the layer: on the size of the network's images, or on its position.

    Args:
        target: the table's name.
        provenance: the table's name and id.
        network: whose prices these are.
        constant_ms: what the network costs besides its layers.
        by_node: ms by the node's name, in order; those of a fitted table mean something in sums only.
    """

    target: str
    provenance: str
    network: NetworkSpec
    constant_ms: float
    by_node: Mapping[str, float]

    @property
    def unit(self) -> str:
        """Milliseconds."""
        return "ms"

    def cost(self, network: NetworkSpec) -> Cost:
        """The latency of the network.

        Raises:
            InputError: it is another one.
        """
        if network != self.network:
            raise InputError(f"these are the prices by table {self.target!r} of another network: ask the table itself")
        return Cost(self.constant_ms + sum(self.by_node.values()), self.unit, "table", self.provenance)

    def price_ms(self, layer: LocatedLayer) -> float:
        """What one layer of this network costs.

        Raises:
            InputError: the network has no such node.
        """
        if layer.name not in self.by_node:
            raise InputError(f"the network whose prices these are has no node {layer.name!r}")
        return self.by_node[layer.name]
