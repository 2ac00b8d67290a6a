"""Once-for-All's two spaces: `ofa-mobilenet-v3` and `ofa-proxyless`, with one resolution or with the published 25.

Source: Cai, Gan, Wang, Zhang, Han 2020, "Once-for-All: Train One Network and Specialize it for Efficient Deployment",
section 3, and the released supernets (github.com/mit-han-lab/once-for-all): ofa_mbv3_d234_e346_k357 with widths 1.0 and
1.2, ofa_proxyless_d234_e346_k357 with width 1.3. Every unit keeps its first 2, 3 or 4 blocks; every block that is kept
has a kernel and an expansion. The last unit of `ofa-proxyless` is one block.
Differs: none in the layers. Published sizes count no resolutions or, times 25, all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace, Condition
from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, MBConv, make_divisible
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.spaces.fitting import check_fit, versioned
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.outline import Outline, bottleneck, fit_stages, pick

KERNELS, EXPANSIONS, DEPTHS = (3, 5, 7), (3, 4, 6), (2, 3, 4)
RESOLUTIONS = tuple(range(128, 225, 4))


@dataclass(frozen=True, slots=True)
class Unit:
    """Blocks of one width, of which the first ones are kept.

    Args:
        channels: output width before the width multiplier.
        stride: of the first block.
        activation: in its blocks.
        squeeze_excite: whether its blocks have squeeze-excite.
        depths: how many blocks may be kept, ascending.
    """

    channels: int
    stride: int
    activation: str
    squeeze_excite: bool = False
    depths: tuple[int, ...] = DEPTHS


@dataclass(frozen=True, slots=True)
class Backbone:
    """What a supernet has besides its choices.

    Args:
        stem_channels: width of the stem before the multiplier.
        first_channels: width of the fixed first block.
        units: in order.
        activation: of the stem and behind the last block.
        first_activation: in the first block.
        head_channels: width of the 1×1 convolution behind the last block.
        hidden_channels: width of the layer behind the pooling, 0 for none.
        bn_eps: of every batch-norm.
    """

    stem_channels: int
    first_channels: int
    units: tuple[Unit, ...]
    activation: str
    first_activation: str
    head_channels: int
    hidden_channels: int
    bn_eps: float


MOBILENET_V3 = Backbone(
    stem_channels=16,
    first_channels=16,
    units=(
        Unit(24, 2, "relu"),
        Unit(40, 2, "relu", squeeze_excite=True),
        Unit(80, 2, "hard_swish"),
        Unit(112, 1, "hard_swish", squeeze_excite=True),
        Unit(160, 2, "hard_swish", squeeze_excite=True),
    ),
    activation="hard_swish",
    first_activation="relu",
    head_channels=960,
    hidden_channels=1280,
    bn_eps=1e-5,
)
PROXYLESS = Backbone(
    stem_channels=32,
    first_channels=16,
    units=(
        *(Unit(channels, stride, "relu6") for channels, stride in ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2))),
        Unit(320, 1, "relu6", depths=(1,)),
    ),
    activation="relu6",
    first_activation="relu6",
    head_channels=1280,
    hidden_channels=0,
    bn_eps=1e-3,
)


@dataclass(frozen=True)
class OfaSpace:
    """Units of inverted bottlenecks whose depth, kernels and expansions are searched, and perhaps the resolution.

    Args:
        name: space and version.
        input_shape: (channels, height, width) of the largest images.
        classes: number of classes.
        backbone: widths, strides, activations.
        width: multiplies the backbone's widths.
        resolutions: sides in pixels to choose from; () for that of the input shape.
    """

    name: str
    input_shape: Shape
    classes: int
    backbone: Backbone
    width: float
    resolutions: tuple[int, ...] = ()

    @cached_property
    def choices(self) -> ChoiceSpace:
        """The resolution if there are several, then unit by unit depth, kernels and expansions."""
        choices = [Choice("resolution", self.resolutions)] if self.resolutions else []
        for stage, unit in self._units():
            if len(unit.depths) > 1:
                choices.append(Choice(f"{stage}.depth", unit.depths))
            for block in range(max(unit.depths)):
                deeper = tuple(depth for depth in unit.depths if depth > block)
                kept = None if deeper == unit.depths else Condition(f"{stage}.depth", deeper)
                choices.append(Choice(f"{stage}.block{block}.kernel", KERNELS, kept))
                choices.append(Choice(f"{stage}.block{block}.expansion", EXPANSIONS, kept))
        return ChoiceSpace(self.name, tuple(choices))

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture, for images of its resolution."""
        options = self.choices.canonical(arch).as_dict()
        net, eps = self.backbone, self.backbone.bn_eps
        before = self._scaled(net.first_channels)
        first = MBConv(before, 3, 1, activation=net.first_activation, bn_eps=eps)
        stem = ConvBnAct(self._scaled(net.stem_channels), 3, 2, activation=net.activation, bn_eps=eps)
        nodes = [Node("stem", stem), Node("first", first)]
        for stage, unit in self._units():
            for block in range(int(options.get(f"{stage}.depth", max(unit.depths)))):
                name = f"{stage}.block{block}"
                kernel, expansion = int(options[f"{name}.kernel"]), int(options[f"{name}.expansion"])
                nodes.append(Node(name, self._block(unit, before, kernel, expansion, 1 if block else unit.stride)))
                before = self._scaled(unit.channels)
        nodes.append(Node("head", ConvBnAct(self._scaled(net.head_channels), 1, activation=net.activation, bn_eps=eps)))
        hidden = self._scaled(net.hidden_channels) if net.hidden_channels else 0
        nodes.append(Node("classifier", Classifier(self.classes, hidden, hidden_bias=not hidden)))
        side = int(options.get("resolution", 0))
        shape = (self.input_shape[0], side, side) if side else self.input_shape
        return NetworkSpec(shape, tuple(nodes))

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network.

        Raises:
            InputError: a layer or a resolution that the space does not offer.
        """
        options: dict[str, Option] = {}
        if self.resolutions:
            options["resolution"] = pick(self.resolutions, outline.input_shape[1], outline.stem, "images with side")
        offered = ((1, 1), *((max(unit.depths), unit.stride) for unit in self.backbone.units))
        stages = fit_stages(outline.stages(), offered)
        next(stages)  # the first block is not searched
        for layers, (stage, unit) in zip(stages, self._units(), strict=True):
            for block, at in enumerate(layers):
                layer = bottleneck(at)
                pick((self._scaled(unit.channels),), layer.out_channels, at, "width")
                options[f"{stage}.block{block}.kernel"] = pick(KERNELS, layer.kernel, at, "kernel")
                options[f"{stage}.block{block}.expansion"] = pick(EXPANSIONS, layer.expansion, at, "expansion")
            depth = pick(unit.depths, len(layers), layers[-1], "unit depth")
            if len(unit.depths) > 1:
                options[f"{stage}.depth"] = depth
        return options

    def _block(self, unit: Unit, before: int, kernel: int, expansion: int, stride: int) -> MBConv:
        excited = make_divisible(before * expansion // 4) if unit.squeeze_excite else 0
        return MBConv(
            self._scaled(unit.channels), kernel, expansion, stride, excited, unit.activation,
            se_gate="hard_sigmoid" if excited else "sigmoid", bn_eps=self.backbone.bn_eps,
        )  # fmt: skip

    def _units(self) -> Iterator[tuple[str, Unit]]:
        return ((f"stage{index}", unit) for index, unit in enumerate(self.backbone.units, start=1))

    def _scaled(self, channels: int) -> int:
        return make_divisible(channels * self.width)


@dataclass(frozen=True, slots=True)
class Preset:
    """A published supernet.

    Args:
        backbone: its widths, strides, activations.
        width: that it was published with; users multiply it.
        text: one sentence for a list.
    """

    backbone: Backbone
    width: float
    text: str


PRESETS = {
    "ofa-mobilenet-v3": Preset(MOBILENET_V3, 1.0, "Once-for-All's MobileNetV3 space, published with --width 1 and 1.2"),
    "ofa-proxyless": Preset(PROXYLESS, 1.3, "Once-for-All's ProxylessNAS space, 1.3 times as wide as ProxylessNAS"),
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
    check_fit(name, (2, *(unit.stride for unit in own.backbone.units)), input_shape, classes, width)
    resolutions = tuple(side for side in RESOLUTIONS if several and side <= min(input_shape[1:]))
    if several and (len(resolutions) < 2 or input_shape[1] != input_shape[2]):
        raise InputError(
            f"space {name!r} needs square images of {RESOLUTIONS[1]} pixels or more, not "
            f"{input_shape[1]}x{input_shape[2]}: use {preset!r}, which has one resolution"
        )
    return OfaSpace(versioned(name, width), input_shape, classes, own.backbone, own.width * width, resolutions)


KNOWN = {
    f"{name}-resolutions" if several else name: KnownSpace(
        f"{own.text}; 25 resolutions" if several else own.text,
        ofa_space(name, several),
        partial(ofa_space, name, several),
    )
    for name, own in PRESETS.items()
    for several in (False, True)
}
