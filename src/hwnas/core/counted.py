"""Multiply-accumulates as a cost model: exact, additive, and the baseline that every latency model must beat."""

from __future__ import annotations

from hwnas.core.cost import Cost, CostTerms
from hwnas.core.counting import count
from hwnas.core.network import NetworkSpec, Node, located_layers
from hwnas.core.protocols import PathSpace, Slot


class MacsModel:
    """An AdditiveCostModel that counts multiply-accumulates at batch 1."""

    unit = "MACs"

    def cost(self, network: NetworkSpec) -> Cost:
        """The MACs of a network."""
        return Cost(float(count(network).macs), self.unit, "counted", "conv and linear, batch 1")

    def terms(self, space: PathSpace) -> CostTerms:
        """The MACs of every option of every choice."""
        constant, by_choice = 0.0, {choice.name: dict.fromkeys(choice.options, 0.0) for choice in space.choices.choices}
        shape = space.input_shape
        for place in space.chain():
            layers = place.options if isinstance(place, Slot) else {"": place[1]}
            for option, layer in layers.items():
                network = NetworkSpec(shape, (Node("layer", layer),))
                macs = float(count(network).macs)
                if isinstance(place, Slot):
                    by_choice[place.choice][option] += macs
                else:
                    constant += macs
            shape = located_layers(network)[0].output_shape
        return CostTerms(constant, by_choice)
