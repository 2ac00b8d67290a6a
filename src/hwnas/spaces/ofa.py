"""Once-for-All's two spaces: `ofa-mobilenet-v3` and `ofa-proxyless`, with one resolution or with the published 25.

Source: Cai, Gan, Wang, Zhang, Han 2020, "Once-for-All: Train One Network and Specialize it for Efficient Deployment",
section 3, and the released supernets (github.com/mit-han-lab/once-for-all): ofa_mbv3_d234_e346_k357 with widths 1.0 and
1.2, ofa_proxyless_d234_e346_k357 with width 1.3. Every unit keeps its first 2, 3 or 4 blocks; every block that is kept
has a kernel and an expansion. The last unit of `ofa-proxyless` is one block.
Differs: none in the layers. Published sizes count no resolutions or, times 25, all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace, Condition
from hwnas.core.errors import InputError
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.spaces.fitting import check_fit, versioned
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.ofa_frame import OfaFrame, OfaUnit, ofa_mobilenet_v3, ofa_proxyless
from hwnas.spaces.outline import Outline, bottleneck, fit_stages, pick

KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)
RESOLUTIONS = tuple(range(128, 225, 4))


@dataclass(frozen=True)
class OfaSpace:
    """Units of inverted bottlenecks whose depth, kernels and expansions are searched, and perhaps the resolution.

    Args:
        name: space and version.
        input_shape: (channels, height, width) of the largest images.
        classes: number of classes.
        frame: what the sub-networks share.
        resolutions: sides in pixels to choose from; () for that of the input shape.
    """

    name: str
    input_shape: Shape
    classes: int
    frame: OfaFrame
    resolutions: tuple[int, ...] = ()

    @cached_property
    def choices(self) -> ChoiceSpace:
        """The resolution if there are several, then unit by unit depth, kernels and expansions."""
        choices = [Choice("resolution", self.resolutions)] if self.resolutions else []
        for stage, unit in self._units():
            depths = _depths(unit)
            if len(depths) > 1:
                choices.append(Choice(f"{stage}.depth", depths))
            for block in range(unit.depth):
                deeper = tuple(depth for depth in depths if depth > block)
                kept = None if deeper == depths else Condition(f"{stage}.depth", deeper)
                choices.append(Choice(f"{stage}.block{block}.kernel", KERNELS, kept))
                choices.append(Choice(f"{stage}.block{block}.expansion", EXPANSIONS, kept))
        return ChoiceSpace(self.name, tuple(choices))

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture, for images of its resolution."""
        options = self.choices.canonical(arch).as_dict()
        units = [
            [
                (int(options[f"{stage}.block{block}.kernel"]), int(options[f"{stage}.block{block}.expansion"]))
                for block in range(int(options.get(f"{stage}.depth", unit.depth)))
            ]
            for stage, unit in self._units()
        ]
        side = int(options.get("resolution", 0))
        shape = (self.input_shape[0], side, side) if side else self.input_shape
        return self.frame.network(shape, self.classes, units)

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network.

        Raises:
            InputError: a layer or a resolution that the space does not offer.
        """
        options: dict[str, Option] = {}
        if self.resolutions:
            options["resolution"] = pick(self.resolutions, outline.input_shape[1], outline.stem, "images with side")
        offered = ((1, 1), *((unit.depth, unit.stride) for unit in self.frame.units))
        stages = fit_stages(outline.stages(), offered)
        next(stages)  # the first block is not searched
        for layers, (stage, unit) in zip(stages, self._units(), strict=True):
            for block, at in enumerate(layers):
                layer = bottleneck(at)
                pick((unit.channels,), layer.out_channels, at, "width")
                options[f"{stage}.block{block}.kernel"] = pick(KERNELS, layer.kernel, at, "kernel")
                options[f"{stage}.block{block}.expansion"] = pick(EXPANSIONS, layer.expansion, at, "expansion")
            depth = pick(_depths(unit), len(layers), layers[-1], "unit depth")
            if unit.depth > 1:
                options[f"{stage}.depth"] = depth
        return options

    def _units(self) -> Iterator[tuple[str, OfaUnit]]:
        return ((f"stage{index}", unit) for index, unit in enumerate(self.frame.units, start=1))


def _depths(unit: OfaUnit) -> tuple[int, ...]:
    """How many of a unit's blocks may be kept; a unit of one block keeps it."""
    return DEPTHS if unit.depth > 1 else (1,)


@dataclass(frozen=True, slots=True)
class Preset:
    """A published supernet.

    Args:
        frame: what its sub-networks share, by width.
        width: that it was published with; users multiply it.
        text: one sentence for a list.
    """

    frame: Callable[[float], OfaFrame]
    width: float
    text: str


PRESETS = {
    "ofa-mobilenet-v3": Preset(
        ofa_mobilenet_v3, 1.0, "Once-for-All's MobileNetV3 space, published with --width 1 and 1.2"
    ),
    "ofa-proxyless": Preset(ofa_proxyless, 1.3, "Once-for-All's ProxylessNAS space, 1.3 times as wide as ProxylessNAS"),
}


def ofa_space(
    preset: str, several: bool, input_shape: Shape = (3, 224, 224), classes: int = 1000, width: float = 1.0
) -> OfaSpace:  # fmt: skip
    """A space fitted to images and classes.

    Args:
        preset: one of PRESETS.
        several: whether the resolution is searched: of the published ones, those up to the images' side.
        input_shape: (channels, height, width) of the largest images, at least 64 pixels a side.
        classes: at least 2.
        width: multiplies the published widths, 0.1 to 4.

    Raises:
        InputError: a value out of range, images too small, or too small or not square for several resolutions.
    """
    own = PRESETS[preset]
    name = f"{preset}-resolutions" if several else preset
    frame = own.frame(own.width * width)
    check_fit(name, (2, *(unit.stride for unit in frame.units)), input_shape, classes, width)
    resolutions = tuple(side for side in RESOLUTIONS if several and side <= min(input_shape[1:]))
    if several and (len(resolutions) < 2 or input_shape[1] != input_shape[2]):
        raise InputError(
            f"space {name!r} needs square images of {RESOLUTIONS[1]} pixels or more, not "
            f"{input_shape[1]}x{input_shape[2]}: use {preset!r}, which has one resolution"
        )
    return OfaSpace(versioned(name, width), input_shape, classes, frame, resolutions)


KNOWN = {
    f"{name}-resolutions" if several else name: KnownSpace(
        f"{own.text}; 25 resolutions" if several else own.text,
        ofa_space(name, several),
        partial(ofa_space, name, several),
    )
    for name, own in PRESETS.items()
    for several in (False, True)
}
