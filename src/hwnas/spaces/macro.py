"""`macro`: NAS-Bench-Macro, 3,969 networks for 32-pixel images of which all are trained.

Source: Su, Huang, Li, You, Wang, Qian, Zhang, Xu 2021, "Prioritized Architecture Sampling with Monto-Carlo Tree
Search"; the layers as in the released code (github.com/xiusu/NAS-Bench-Macro, train/model.py): stem 3×3 of stride 1 to
32 channels, three stages of 2, 3 and 3 layers that each begin with stride 2 and twice the channels, head 1×1 to 1,280,
ReLU everywhere. Identity is a 1×1 convolution with batch-norm where stride and channels change, nothing elsewhere.

The published count is 3^8 = 6,561. In the second and third layer of a stage it makes no difference which of them is
removed, so 3,969 networks are distinct, and those are this space's architectures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace, EqualPlaces
from hwnas.core.errors import InputError, quoted
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, Zero, make_divisible
from hwnas.core.network import LocatedLayer, NetworkSpec
from hwnas.core.primitives import Shape
from hwnas.core.protocols import Slot
from hwnas.spaces.chain import decode_chain
from hwnas.spaces.fitting import check_fit, versioned
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.outline import Outline, bottleneck, fit_stages, pick

_STAGE_LAYERS = (2, 3, 3)
_CHANNELS = 32  # of the stem
_HEAD = 1280
OPERATIONS: tuple[Option, ...] = ("identity", "mb3_k3", "mb6_k5")  # in the order of the benchmark's digits


@dataclass(frozen=True)
class MacroSpace:
    """A chain of eight layers, each identity or one of two inverted bottlenecks.

    Args:
        name: space and version.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.
        width: multiplies every width.
    """

    name: str = "macro@1"
    input_shape: Shape = (3, 32, 32)
    classes: int = 10
    width: float = 1.0

    @cached_property
    def choices(self) -> ChoiceSpace:
        """One choice per layer, "stage1.block0" and so on; the later layers of a stage are equal places."""
        slots = [place for place in self.chain() if isinstance(place, Slot)]
        equal = tuple(
            EqualPlaces(tuple(f"stage{stage}.block{block}" for block in range(1, layers)), "identity")
            for stage, layers in enumerate(_STAGE_LAYERS, start=1)
        )
        return ChoiceSpace(self.name, tuple(Choice(slot.choice, tuple(slot.options)) for slot in slots), equal)

    def chain(self) -> tuple[Slot | tuple[str, LayerSpec], ...]:
        """Stem, the eight slots, head, classifier."""
        places: list[Slot | tuple[str, LayerSpec]] = [("stem", ConvBnAct(self._stage(0), 3, activation="relu"))]
        for stage, layers in enumerate(_STAGE_LAYERS, start=1):
            for block in range(layers):
                name = f"stage{stage}.block{block}"
                places.append(Slot(name, name, _options(self._stage(stage), first=block == 0)))
        head = ConvBnAct(make_divisible(_HEAD * self.width), 1, activation="relu")
        return (*places, ("head", head), ("classifier", Classifier(self.classes)))

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture; removed layers leave no node."""
        return decode_chain(self.input_shape, self.chain(), self.choices.canonical(arch))

    def uniform_architectures(self) -> dict[str, Architecture]:
        """One bottleneck everywhere, at every depth."""
        return {
            f"{operation}, depth {depth}": self.choices.architecture(
                {name: operation if int(name[-1]) < depth else "identity" for name in self._names}
            )
            for operation in OPERATIONS[1:]
            for depth in range(1, max(_STAGE_LAYERS) + 1)
        }

    def of_digits(self, digits: str) -> Architecture:
        """The architecture of a row of the benchmark: "02012100", a digit a layer (0 identity, 1 MB3 k3, 2 MB6 k5).

        Raises:
            InputError: not eight digits from 0 to 2.
        """
        if len(digits) != len(self._names) or set(digits) - set("012"):
            raise InputError(f"a row of NAS-Bench-Macro is eight digits from 0 to 2, not {quoted(digits)}")
        return self.choices.architecture({n: OPERATIONS[int(d)] for n, d in zip(self._names, digits, strict=True)})

    def encoding(self, arch: Architecture) -> str:
        """The digits of the benchmark's row; `of_digits` is its inverse."""
        options = self.choices.canonical(arch).as_dict()
        return "".join(str(OPERATIONS.index(options[name])) for name in self._names)

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network.

        Raises:
            InputError: a layer that the space does not offer.
        """
        stages = fit_stages(outline.stages(), ((layers, 2) for layers in _STAGE_LAYERS))
        options = dict.fromkeys(self._names, OPERATIONS[0])
        for stage, layers in enumerate(stages, start=1):
            for block, at in enumerate(layers):
                options[f"stage{stage}.block{block}"] = self._option(at, self._stage(stage), first=block == 0)
        return options

    def _option(self, at: LocatedLayer, channels: int, first: bool) -> Option:
        if first and isinstance(at.layer, ConvBnAct):
            pick((1,), at.layer.kernel, at, "kernel")
            pick((channels,), at.layer.out_channels, at, "width")
            return OPERATIONS[0]
        layer = bottleneck(at)
        pick((channels,), layer.out_channels, at, "width")
        return pick(OPERATIONS, f"mb{layer.expansion:g}_k{layer.kernel}", at, "operation")

    def _stage(self, stage: int) -> int:
        return make_divisible(_CHANNELS * self.width) << stage

    @property
    def _names(self) -> list[str]:
        return [choice.name for choice in self.choices.choices]


def _options(channels: int, first: bool) -> dict[Option, LayerSpec]:
    stride = 2 if first else 1
    return {
        "identity": ConvBnAct(channels, 1, 2, activation="") if first else Zero(),
        "mb3_k3": MBConv(channels, 3, 3, stride, activation="relu"),
        "mb6_k5": MBConv(channels, 5, 6, stride, activation="relu"),
    }


def macro_space(input_shape: Shape, classes: int, width: float = 1.0) -> MacroSpace:
    """The space fitted to images and classes.

    Args:
        input_shape: (channels, height, width) of the images, at least 16 pixels a side.
        classes: at least 2.
        width: multiplier of all widths, 0.1 to 4.

    Raises:
        InputError: a value out of range.
    """
    check_fit("macro", (2,) * len(_STAGE_LAYERS), input_shape, classes, width)
    return MacroSpace(versioned("macro", width), input_shape, classes, width)


KNOWN = {
    "macro": KnownSpace(
        "NAS-Bench-Macro: 8 layers for 32 pixels, 3,969 networks, all trained", MacroSpace(), macro_space
    )
}
