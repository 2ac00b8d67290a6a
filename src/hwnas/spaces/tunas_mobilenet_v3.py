"""`tunas-mobilenet-v3`: TuNAS's MobileNetV3-like space, with squeeze-excite and filters searched everywhere.

Source: Bender et al. 2020 (see tunas.py) and `mobilenet_v3_like_search` of the released code: stem of kernel 3 or 5
with an optional separable convolution as its residual branch, five stages, base widths that are powers of two, each
times one of seven multipliers; ReLU in the first two stages, swish6 (here hard_swish) after; behind the pooling a
hidden layer with bias and without batch-norm.
Differs: the code sums x + 0 where the stem's residual branch is left out; here that is no layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace, Condition
from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct
from hwnas.core.network import LocatedLayer, NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.spaces.fitting import check_fit, versioned
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.outline import Outline, fit_stages, pick
from hwnas.spaces.tunas import (
    BN_EPS,
    CLASSES,
    KERNELS,
    LEFT_OUT,
    MULTIPLIERS,
    Stage,
    chosen_filters,
    filter_choice,
    filter_options,
    first_block,
    first_kernel,
    known_options,
)

_STEM_KERNELS = (3, 5)
_SEPARABLE = "sepconv"
_EXPANSIONS = (1, 2, 3, 4, 5, 6)
_LAYERS, _STRIDES = 4, (2, 2, 2, 1, 2)  # layers of every stage
_ACTIVATIONS = ("relu", "relu", "hard_swish", "hard_swish", "hard_swish")
_FILTERS = (16, 16, 32, 64, 128, 256, 512, 1024)  # of stem, five stages, head, hidden layer


@dataclass(frozen=True)
class TunasMobileNetV3Space:
    """Stem with an optional branch, five stages of up to four inverted bottlenecks, head, hidden layer.

    Args:
        name: space and version.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.
        filters: options of the stem, each of the five stages, the head and the hidden layer.
    """

    name: str
    input_shape: Shape
    classes: int
    filters: tuple[tuple[int, ...], ...]

    @cached_property
    def choices(self) -> ChoiceSpace:
        """The stem's decisions, every stage's, the widths of head and hidden layer."""
        choices = [
            *filter_choice("stem", self.filters[0]),
            Choice("stem.kernel", _STEM_KERNELS),
            Choice("first", (_SEPARABLE, LEFT_OUT)),
            Choice("first.kernel", KERNELS, Condition("first", (_SEPARABLE,))),
        ]
        choices += [choice for stage in self._stages for choice in stage.choices()]
        ends = (*filter_choice("head", self.filters[-2]), *filter_choice("hidden", self.filters[-1]))
        return ChoiceSpace(self.name, (*choices, *ends))

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture; layers left out leave no node."""
        options = self.choices.canonical(arch).as_dict()
        before = chosen_filters("stem", self.filters[0], options)
        stem = ConvBnAct(before, int(options["stem.kernel"]), 2, activation="hard_swish", bn_eps=BN_EPS)
        nodes = [Node("stem", stem)]
        if options["first"] == _SEPARABLE:
            nodes.append(Node("first", first_block(before, options["first.kernel"], residual=True)))
        for stage in self._stages:
            nodes += stage.nodes(options, before)
            before = chosen_filters(stage.name, stage.filters, options)
        head = chosen_filters("head", self.filters[-2], options)
        hidden = chosen_filters("hidden", self.filters[-1], options)
        nodes.append(Node("head", ConvBnAct(head, 1, activation="hard_swish", bn_eps=BN_EPS)))
        return NetworkSpec(self.input_shape, (*nodes, Node("classifier", Classifier(self.classes, hidden))))

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network.

        Raises:
            InputError: a layer that the space does not offer.
        """
        stem = outline.stem_layer
        options: dict[str, Option] = {
            "stem.kernel": pick(_STEM_KERNELS, stem.kernel, outline.stem, "kernel"),
            "stem.filters": pick(self.filters[0], stem.out_channels, outline.stem, "width"),
        }
        stages = outline.stages(plain_starts=True)
        options.update(self._first_options(stages))
        fitted = fit_stages(stages, ((_LAYERS, stride) for stride in _STRIDES))
        for layers, stage in zip(fitted, self._stages, strict=True):
            options.update(stage.options_of(layers))
        head, hidden = outline.head, outline.classifier.hidden_channels
        options["head.filters"] = pick(self.filters[-2], head.output_shape[0], head, "width")
        options["hidden.filters"] = pick(self.filters[-1], hidden, outline.tail[-1], "a hidden layer of width")
        return known_options(self.choices, options)

    def _first_options(self, stages: list[list[LocatedLayer]]) -> dict[str, Option]:
        """The options of the stem's branch, which is taken off the stages where the network has it."""
        if not stages or stages[0][0].input_shapes[0] != stages[0][0].output_shape:
            return {"first": LEFT_OUT}
        first, *others = stages.pop(0)
        if others:
            raise InputError(f"layer {others[0].name!r} keeps the stem's shape, which one layer may do")
        return {"first": _SEPARABLE, "first.kernel": first_kernel(first)}

    @cached_property
    def _stages(self) -> tuple[Stage, ...]:
        rows = zip(self.filters[1:-2], _STRIDES, _ACTIVATIONS, strict=True)
        return tuple(
            Stage(f"stage{index}", filters, _LAYERS, stride, _EXPANSIONS, activation, squeeze_excite=True)
            for index, (filters, stride, activation) in enumerate(rows, start=1)
        )


def tunas_mobilenet_v3_space(
    input_shape: Shape = (3, 224, 224), classes: int = CLASSES, width: float = 1.0
) -> TunasMobileNetV3Space:
    """The space fitted to images and classes.

    Args:
        input_shape: (channels, height, width) of the images, at least 64 pixels a side.
        classes: at least 2.
        width: multiplier of all widths, 0.1 to 4.

    Raises:
        InputError: a value out of range, or images too small.
    """
    check_fit("tunas-mobilenet-v3", (2, *_STRIDES), input_shape, classes, width)
    filters = tuple(filter_options(one, MULTIPLIERS, width) for one in _FILTERS)
    return TunasMobileNetV3Space(versioned("tunas-mobilenet-v3", width), input_shape, classes, filters)


KNOWN = {
    "tunas-mobilenet-v3": KnownSpace(
        "TuNAS's MobileNetV3-like space: kernel, expansion, squeeze-excite, depth and filters, 10^38 networks",
        tunas_mobilenet_v3_space(),
        tunas_mobilenet_v3_space,
    )
}
