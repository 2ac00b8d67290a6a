"""ProxylessNAS's MobileNetV2-based space: the published ImageNet form and presets for small images.

Source: Cai, Zhu, Han 2019, "ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware", section 4.2
and the released search code (github.com/mit-han-lab/proxylessnas): stem 32, first block 16, stages 24/40/80/96/192/320
of 4/4/4/4/4/1 layers, MBConv k{3,5,7} × e{3,6}, Zero where stride is 1 and widths are equal.
Differs: none for `proxyless-imagenet`; the other presets shrink widths, depth and strides so that the last map is at
least 4×4 and a CPU can train them.

Each position has its own weights in the supernet, so architectures that differ in which of several equal positions is
removed are kept apart, as in the published count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace
from hwnas.core.errors import UnknownName
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, Zero, make_divisible
from hwnas.core.network import NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Slot
from hwnas.spaces.chain import decode_chain
from hwnas.spaces.fitting import check_fit, versioned
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.outline import Outline, bottleneck, fit_stages, pick


@dataclass(frozen=True)
class ProxylessSpace:
    """A chain of MBConv blocks whose kernel, expansion and depth are searched.

    Args:
        name: preset and version; every Architecture carries it.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.
        stem_channels: width of the 3×3 stem.
        stem_stride: stride of the stem.
        first_channels: width of the fixed first block (kernel 3, expansion 1).
        stage_channels: output width of each stage.
        stage_layers: layers of each stage; all but the first may be Zero, the first where nothing changes.
        stage_strides: stride of each stage's first layer.
        head_channels: width of the last 1×1 convolution.
        width: multiplies every width but the head's, which only grows (MobileNetV2's rule).
        kernels: depthwise kernels to choose from.
        expansions: expansion ratios to choose from.
    """

    name: str
    input_shape: Shape
    classes: int
    stem_channels: int
    stem_stride: int
    first_channels: int
    stage_channels: tuple[int, ...]
    stage_layers: tuple[int, ...]
    stage_strides: tuple[int, ...]
    head_channels: int
    width: float = 1.0
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int, ...] = (3, 6)

    @cached_property
    def choices(self) -> ChoiceSpace:
        """One choice per layer, in order: "stage1.block0" and so on."""
        slots = [place for place in self.chain() if isinstance(place, Slot)]
        return ChoiceSpace(self.name, tuple(Choice(slot.choice, tuple(slot.options)) for slot in slots))

    def chain(self) -> tuple[Slot | tuple[str, LayerSpec], ...]:
        """Stem, first block, the slots of every stage, head, classifier."""
        first = self._scaled(self.first_channels)
        places: list[Slot | tuple[str, LayerSpec]] = [
            ("stem", ConvBnAct(self._scaled(self.stem_channels), 3, self.stem_stride)),
            ("first", MBConv(first, 3, 1, residual=False)),
        ]
        before = first
        stages = zip(self.stage_channels, self.stage_layers, self.stage_strides, strict=True)
        for stage, (channels, layers, first_stride) in enumerate(stages, start=1):
            for block in range(layers):
                stride, out = (first_stride if block == 0 else 1), self._scaled(channels)
                name = f"stage{stage}.block{block}"
                places.append(Slot(name, name, self._options(out, stride, removable=stride == 1 and before == out)))
                before = out
        head = make_divisible(self.head_channels * max(1.0, self.width))
        return (*places, ("head", ConvBnAct(head, 1)), ("classifier", Classifier(self.classes)))

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture; removed layers leave no node."""
        return decode_chain(self.input_shape, self.chain(), self.choices.canonical(arch))

    def uniform_architectures(self) -> dict[str, Architecture]:
        """The fixed networks of the space: one operation everywhere, at most so many layers a stage."""
        depths = range(1, max(self.stage_layers) + 1)
        operations = [option for option in self.choices.choices[0].options if option != "zero"]
        return {f"{option}, depth {d}": self._uniform(option, d) for option in operations for d in depths}

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network, removed ones last in each stage.

        Raises:
            InputError: a layer that the space does not offer.
        """
        shapes = zip(self.stage_layers, self.stage_strides, strict=True)
        stages = fit_stages(outline.stages(), ((1, 1), *shapes))
        options: dict[str, Option] = {}
        next(stages)  # the first block is not searched
        for stage, (layers, channels) in enumerate(zip(stages, self.stage_channels, strict=True), start=1):
            for block in range(self.stage_layers[stage - 1]):
                name = f"stage{stage}.block{block}"
                options[name] = "zero"
                if block < len(layers):
                    layer = bottleneck(layers[block])
                    pick((self._scaled(channels),), layer.out_channels, layers[block], "width")
                    kernel = pick(self.kernels, layer.kernel, layers[block], "kernel")
                    options[name] = f"k{kernel}e{pick(self.expansions, layer.expansion, layers[block], 'expansion')}"
        return options

    def _uniform(self, option: Option, depth: int) -> Architecture:
        options: dict[str, Option] = {}
        for choice in self.choices.choices:
            block = int(choice.name.rsplit("block", 1)[1])
            options[choice.name] = "zero" if block >= depth and "zero" in choice.options else option
        return self.choices.architecture(options)

    def _scaled(self, channels: int) -> int:
        return make_divisible(channels * self.width)

    def _options(self, channels: int, stride: int, removable: bool) -> dict[Option, LayerSpec]:
        options: dict[Option, LayerSpec] = {
            f"k{kernel}e{expansion}": MBConv(channels, kernel, expansion, stride)
            for kernel in self.kernels
            for expansion in self.expansions
        }
        return {**options, "zero": Zero()} if removable else options


_IMAGENET = ProxylessSpace(
    name="proxyless-imagenet@1",
    input_shape=(3, 224, 224),
    classes=1000,
    stem_channels=32,
    stem_stride=2,
    first_channels=16,
    stage_channels=(24, 40, 80, 96, 192, 320),
    stage_layers=(4, 4, 4, 4, 4, 1),
    stage_strides=(2, 2, 2, 1, 2, 1),
    head_channels=1280,
)
# Last maps: 28 -> 14 -> 14, 7, 4 and 32 -> 16 -> 16, 8, 4; below 4×4 depthwise training is slow on CPUs.
_SMALL = replace(
    _IMAGENET,
    name="proxyless-small@1",
    input_shape=(3, 32, 32),
    classes=10,
    stem_channels=16,
    first_channels=8,
    stage_channels=(16, 24, 40),
    stage_layers=(3, 3, 3),
    stage_strides=(1, 2, 2),
    head_channels=128,
)
_CIFAR = replace(
    _SMALL,
    name="proxyless-cifar@1",
    stem_channels=32,
    first_channels=16,
    stage_channels=(24, 40, 80),
    stage_layers=(4, 4, 4),
    head_channels=320,
)
# 64 -> 32 -> 16, 8, 8, 4 and 96 -> 48 -> 24, 12, 12, 6.
_MEDIUM = replace(
    _IMAGENET,
    name="proxyless-medium@1",
    input_shape=(3, 64, 64),
    stem_channels=16,
    first_channels=8,
    stage_channels=(16, 24, 40, 64),
    stage_layers=(3, 3, 3, 3),
    stage_strides=(2, 2, 1, 2),
    head_channels=256,
)
PRESETS: dict[str, tuple[ProxylessSpace, str]] = {
    "proxyless-small": (_SMALL, "24 to 40 pixels, 3 stages of 3 layers, up to 40 channels: minutes on a CPU"),
    "proxyless-cifar": (_CIFAR, "24 to 40 pixels, 3 stages of 4 layers, up to 80 channels: an hour on a CPU"),
    "proxyless-medium": (_MEDIUM, "48 to 128 pixels, 4 stages of 3 layers, up to 64 channels"),
    "proxyless-imagenet": (_IMAGENET, "the published space for 224 pixels, 21 layers, up to 320 channels"),
}


def proxyless_space(preset: str, input_shape: Shape, classes: int, width: float = 1.0) -> ProxylessSpace:
    """A preset fitted to images and classes.

    Args:
        preset: one of PRESETS.
        input_shape: (channels, height, width) of the images, at least 16 pixels a side.
        classes: at least 2.
        width: multiplier of all widths, 0.1 to 4.

    Raises:
        UnknownName: no such preset.
        InputError: a value out of range, or images too small for the preset's strides.
    """
    if preset not in PRESETS:
        raise UnknownName("space", preset, PRESETS)
    space = PRESETS[preset][0]
    check_fit(preset, (space.stem_stride, *space.stage_strides), input_shape, classes, width)
    name = versioned(preset, width)
    return replace(space, name=name, input_shape=input_shape, classes=classes, width=width)


KNOWN = {name: KnownSpace(text, own, partial(proxyless_space, name)) for name, (own, text) in PRESETS.items()}
