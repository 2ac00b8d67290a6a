"""A path-level supernet: every option of every slot has its own weights; an architecture picks one path.

Source: Cai et al. 2019 (ProxylessNAS), section 3.1. The path is an argument of every call, so that nothing has to be
set on the network before it is used, or put back after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from hwnas.core.architecture import Architecture
from hwnas.core.layers import LayerSpec
from hwnas.core.network import NetworkSpec, Node, located_layers
from hwnas.core.protocols import PathSpace, Slot
from hwnas.core.seeds import seed_for
from hwnas.nn.build import build, build_layer, initialise


class PathSupernet(nn.Module):
    """Shared weights for every architecture of a PathSpace.

    Args:
        space: its chain of slots and fixed layers.
        seed: of the initial weights.
    """

    def __init__(self, space: PathSpace, seed: int) -> None:
        super().__init__()
        self._space = space
        self._places = space.chain()
        self.places = nn.ModuleList()
        shape = space.input_shape
        for place in self._places:
            layers = place.options if isinstance(place, Slot) else {"fixed": place[1]}
            built = {str(option): build_layer(layer, (shape,)) for option, layer in layers.items()}
            self.places.append(nn.ModuleDict(built))
            layer = next(iter(layers.values()))
            shape = located_layers(NetworkSpec(shape, (Node("layer", layer),)))[0].output_shape
        initialise(self, seed_for(seed, "supernet"))
        self._index = {choice.name: row for row, choice in enumerate(space.choices.choices)}

    def forward(self, images_BCHW: Tensor, arch: Architecture) -> Tensor:
        """Class scores (batch, classes) of one architecture."""
        options = arch.as_dict()
        value = images_BCHW
        for place, candidates in self._chain():
            name = str(options[place.choice]) if isinstance(place, Slot) else "fixed"
            value = candidates[name](value)
        return value

    def forward_two_paths(
        self, images_BCHW: Tensor, active: Architecture, other: Architecture, gates: Tensor
    ) -> Tensor:
        """Class scores of `active`, with `other` at hand so that both get a gate gradient.

        Each slot's value is gates[c, 0]·active + gates[c, 1]·other. With gates (1, 0) that is the active path; the
        other path runs without gradient, since its factor is zero, so the memory is that of one path.

        Args:
            images_BCHW: the images.
            active: the path that is computed.
            other: at each choice, another option.
            gates: (choices, 2), rows in the order of the space's choices.
        """
        chosen, beside = active.as_dict(), other.as_dict()
        value = images_BCHW
        for place, candidates in self._chain():
            if not isinstance(place, Slot):
                value = candidates["fixed"](value)
                continue
            row = gates[self._index[place.choice]]
            with torch.no_grad():
                aside = candidates[str(beside[place.choice])](value)
            value = row[0] * candidates[str(chosen[place.choice])](value) + row[1] * aside
        return value

    def forward_all_paths(self, images_BCHW: Tensor, weights: Tensor) -> Tensor:
        """Class scores with every slot a weighted sum of all its options (DARTS, Liu et al. 2019, eq. 2).

        Args:
            images_BCHW: the images.
            weights: (choices, options), rows and columns in the order of the space.
        """
        value = images_BCHW
        for place, candidates in self._chain():
            if isinstance(place, Slot):
                row = weights[self._index[place.choice]]
                outputs = [row[i] * candidate(value) for i, candidate in enumerate(candidates.values())]
                value = torch.stack(outputs).sum(0) if len(outputs) > 1 else outputs[0]
            else:
                value = candidates["fixed"](value)
        return value

    def _chain(self) -> Iterator[tuple[Slot | tuple[str, LayerSpec], nn.ModuleDict]]:
        return zip(self._places, cast(Iterable[nn.ModuleDict], self.places), strict=True)

    def extract(self, arch: Architecture) -> nn.Module:
        """A stand-alone network of an architecture's canonical form, with copied weights and running statistics."""
        arch = self._space.choices.canonical(arch)
        options = arch.as_dict()
        arrays: dict[str, Tensor] = {}
        for place, candidates in self._chain():
            name, option = (
                (place.position, str(options[place.choice])) if isinstance(place, Slot) else (place[0], "fixed")
            )
            state = candidates[option].state_dict()
            arrays.update({f"{name}.{key}": value.detach().clone() for key, value in state.items()})
        network = build(self._space.decode(arch))
        network.load_state_dict(arrays)
        return network


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """No parameter of the module asks for a gradient inside the block: weight gradients are the costly half."""
    wanting = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in wanting:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanting:
            parameter.requires_grad_(True)
