"""Layers where they stand in a space or a network: what a latency table has entries for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from hwnas.core.architecture import Option
from hwnas.core.cost import CostTerms
from hwnas.core.errors import InputError
from hwnas.core.layer_json import layer_to_json
from hwnas.core.layers import Zero
from hwnas.core.network import LocatedLayer, NetworkSpec, Node, located_layers
from hwnas.core.protocols import PathSpace, SearchSpace, Slot
from hwnas.core.seeds import rng_for

PATIENCE = 200  # networks in a row without a new layer; one that one network in fifty has is missed once in 57 times


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a space's chain with every layer that can stand there.

    Args:
        choice: what decides the layer; None where nothing is searched.
        layers: by option; a fixed place has the one option "".
    """

    choice: str | None
    layers: Mapping[Option, LocatedLayer]

    @property
    def priced(self) -> dict[Option, LocatedLayer]:
        """The layers that cost time: all but Zero."""
        return {option: layer for option, layer in self.layers.items() if not isinstance(layer.layer, Zero)}


def places(space: PathSpace) -> tuple[Place, ...]:
    """Every place of a space in order, with the shapes that its layers read and write."""
    chain = space.chain()
    options = [dict(place.options) if isinstance(place, Slot) else {"": place[1]} for place in chain]
    names = [place.position if isinstance(place, Slot) else place[0] for place in chain]
    firsts = tuple(Node(name, next(iter(layers.values()))) for name, layers in zip(names, options, strict=True))
    located = located_layers(NetworkSpec(space.input_shape, firsts))
    return tuple(
        Place(
            place.choice if isinstance(place, Slot) else None,
            {o: LocatedLayer(at.name, layer, at.input_shapes, at.output_shape) for o, layer in layers.items()},
        )
        for place, layers, at in zip(chain, options, located, strict=True)
    )


def additive_terms(space: PathSpace, constant: float, price: Callable[[LocatedLayer], float]) -> CostTerms:
    """A price per layer as a sum over a space's choices; removed layers cost nothing.

    Args:
        space: a chain of layers, each decided by one choice or fixed.
        constant: what every network costs besides its layers.
        price: of one layer, in the same unit.
    """
    by_choice: dict[str, dict[Option, float]] = {}
    for place in places(space):
        if place.choice is None:
            constant += sum(price(layer) for layer in place.priced.values())
            continue
        terms = by_choice.setdefault(place.choice, dict.fromkeys(place.layers, 0.0))
        for option, layer in place.priced.items():
            terms[option] += price(layer)
    return CostTerms(constant, by_choice)


def priced_layers(network: NetworkSpec) -> tuple[LocatedLayer, ...]:
    """A network's layers that cost time: all but Zero."""
    return tuple(layer for layer in located_layers(network) if not isinstance(layer.layer, Zero))


def distinct_layers(space: SearchSpace, most: int) -> dict[str, LocatedLayer] | None:
    """Every layer that networks of a space have, by key; None where they are too many.

    A chain of choices names its layers. Of any other space networks are drawn until no new layer comes: uniformly,
    which leaves out no option for long.

    Args:
        space: whose layers.
        most: how many are not too many.
    """
    if isinstance(space, PathSpace):
        found = {layer.key: layer for place in places(space) for layer in place.priced.values()}
        return found if len(found) <= most else None
    rng = rng_for(0, "distinct layers")
    found, without_news = {}, 0
    while without_news < PATIENCE:
        known = len(found)
        for layer in priced_layers(space.decode(space.choices.sample(rng))):
            found.setdefault(layer.key, layer)
        without_news = without_news + 1 if len(found) == known else 0
        if len(found) > most:
            return None
    return found


def alone(layer: LocatedLayer) -> NetworkSpec:
    """The network that is one layer, so that it can be timed.

    Raises:
        InputError: the layer reads values of different shapes, for which one image cannot stand in.
    """
    if len(set(layer.input_shapes)) != 1:
        raise InputError(f"layer {layer.name!r} reads values of different shapes and cannot be timed alone")
    return NetworkSpec(layer.input_shapes[0], (Node("layer", layer.layer, ("input",) * len(layer.input_shapes)),))


def edge_values(layer: LocatedLayer) -> int:
    """How many values a layer reads and writes."""
    return sum(prod(shape) for shape in layer.input_shapes) + prod(layer.output_shape)


def network_id(network: NetworkSpec) -> str:
    """Twelve hexadecimal digits that are equal exactly for networks that compute alike; names do not count."""
    values = {"input": 0}
    last, rows = 0, []
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs] or [last]
        if isinstance(node.layer, Zero):
            last = inputs[0]
        else:
            rows.append([layer_to_json(node.layer), inputs])
            last = len(rows)
        values[node.name] = last
    text = json.dumps([list(network.input_shape), rows], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
