"""TuNAS's ProxylessNAS-like spaces, `tunas-proxyless` and `tunas-proxyless-enlarged`, and their published encodings.

Source: Bender, Liu, Chen, Chu, Cheng, Kindermans, Le 2020, "Can Weight Sharing Outperform Random Architecture Search?
An Investigation With TuNAS", and the released code (github.com/google-research/google-research, tunas/
mobile_search_space_v3.py and rematlib/mobile_model_v3.py). Every inverted bottleneck has its expansion convolution, the
first layer of a stage never has a residual, the first block is a depthwise-separable convolution without activation
behind its 1×1, ReLU everywhere, batch-norm epsilon 1e-3.
Differs: in nothing.

Decisions are those of the released code: an optional layer is first kept or left out, then it has a kernel and an
expansion; the enlarged space also decides the filters of every stage. Each position has its own weights in the
supernet, so which of several layers is left out counts, as in the published sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace, Condition
from hwnas.core.errors import InputError, quoted
from hwnas.core.layers import Classifier, ConvBnAct, MBConv, make_divisible
from hwnas.core.network import LocatedLayer, NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.spaces.fitting import check_fit, versioned
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.outline import Outline, bottleneck, fit_stages, pick

BASE = 8  # every number of filters is a multiple of it
BN_EPS = 1e-3
CLASSES = 1001  # ImageNet's, and one for the background
KERNELS = (3, 5, 7)
SE_RATIO = 0.25  # of the expanded width
MULTIPLIERS = (0.5, 0.625, 0.75, 1.0, 1.25, 1.5, 2.0)
KEPT, LEFT_OUT = "mbconv", "zero"
_EXPANSIONS = (3, 6)
_STAGE_LAYERS, _STAGE_STRIDES = (4, 4, 4, 4, 4, 1), (2, 2, 2, 1, 2, 1)
# Stem, first block, six stages, head.
_FILTERS = (32, 16, 32, 40, 80, 96, 192, 320, 1280)  # of ProxylessNAS-Mobile
_ENLARGED_FILTERS = (16, 16, 16, 32, 64, 128, 256, 512, 1024)
_SKIP_INDEX = len(KERNELS) * len(_EXPANSIONS)


def scale_filters(filters: int, multiplier: float) -> int:
    """Filters times a multiplier, rounded half up to a multiple of BASE; TuNAS's rule, without the 10 % of others."""
    return max(BASE, int(filters * multiplier / BASE + 0.5) * BASE)


def filter_options(filters: int, multipliers: Sequence[float], width: float) -> tuple[int, ...]:
    """What a stage's filters are chosen from, ascending; multipliers that round to the same count once."""
    return tuple(sorted({scale_filters(filters, multiplier * width) for multiplier in multipliers}))


@dataclass(frozen=True, slots=True)
class Stage:
    """Inverted bottlenecks of one width, the first always there and without residual, the others optional.

    Args:
        name: of its nodes and choices, "stage1".
        filters: to choose from; no choice where there is one.
        layers: at most.
        stride: of the first layer.
        expansions: to choose from.
        activation: in its layers.
        squeeze_excite: whether every layer decides on squeeze-excite, too.
    """

    name: str
    filters: tuple[int, ...]
    layers: int
    stride: int
    expansions: tuple[int, ...]
    activation: str = "relu"
    squeeze_excite: bool = False

    def choices(self) -> Iterator[Choice]:
        """The stage's filters, then layer by layer whether it is there, its kernel, expansion and squeeze-excite."""
        yield from filter_choice(self.name, self.filters)
        for block in range(self.layers):
            name = f"{self.name}.block{block}"
            if block:
                yield Choice(name, (KEPT, LEFT_OUT))
            kept = Condition(name, (KEPT,)) if block else None
            yield Choice(f"{name}.kernel", KERNELS, kept)
            yield Choice(f"{name}.expansion", self.expansions, kept)
            if self.squeeze_excite:
                yield Choice(f"{name}.se", (0, 1), kept)

    def nodes(self, options: Mapping[str, Option], before: int) -> Iterator[Node]:
        """The stage's layers, which read `before` channels."""
        out = chosen_filters(self.name, self.filters, options)
        for block in range(self.layers):
            name = f"{self.name}.block{block}"
            if block and options[name] == LEFT_OUT:
                continue
            kernel, expansion = int(options[f"{name}.kernel"]), int(options[f"{name}.expansion"])
            excited = self.squeeze_excite and options[f"{name}.se"]
            layer = MBConv(
                out, kernel, expansion, 1 if block else self.stride,
                se_channels=make_divisible(SE_RATIO * before * expansion) if excited else 0,
                activation=self.activation, residual=block > 0, expand_always=True, bn_eps=BN_EPS,
            )  # fmt: skip
            before = out
            yield Node(name, layer)

    def options_of(self, layers: Sequence[LocatedLayer]) -> Iterator[tuple[str, Option]]:
        """The options of a network's layers, the optional ones that it lacks left out last."""
        widths = [pick(self.filters, bottleneck(at).out_channels, at, "width") for at in layers]
        yield f"{self.name}.filters", widths[0]
        for block in range(self.layers):
            name = f"{self.name}.block{block}"
            if block:
                yield name, KEPT if block < len(layers) else LEFT_OUT
            if block < len(layers):
                at = layers[block]
                layer = bottleneck(at)
                yield f"{name}.kernel", pick(KERNELS, layer.kernel, at, "kernel")
                yield f"{name}.expansion", pick(self.expansions, layer.expansion, at, "expansion")
                yield f"{name}.se", int(layer.se_channels > 0)


def filter_choice(name: str, filters: tuple[int, ...]) -> Iterator[Choice]:
    """The choice between numbers of filters, where there is one."""
    if len(filters) > 1:
        yield Choice(f"{name}.filters", filters)


def chosen_filters(name: str, filters: tuple[int, ...], options: Mapping[str, Option]) -> int:
    """The number of filters, chosen or given."""
    return int(options.get(f"{name}.filters", filters[0]))


def first_block(filters: int, kernel: Option, residual: bool) -> MBConv:
    """A depthwise-separable convolution without activation behind its 1×1: a bottleneck that does not expand."""
    return MBConv(filters, int(kernel), 1, activation="relu", residual=residual, bn_eps=BN_EPS)


def first_kernel(at: LocatedLayer) -> Option:
    """The kernel of a network's first block.

    Raises:
        InputError: it expands, or has another kernel than offered.
    """
    layer = bottleneck(at)
    pick((1,), layer.expansion, at, "expansion")
    return pick(KERNELS, layer.kernel, at, "kernel")


def known_options(choices: ChoiceSpace, found: Mapping[str, Option]) -> dict[str, Option]:
    """Those options for which there is a choice; what has one option only has none."""
    names = {choice.name for choice in choices.choices}
    return {name: option for name, option in found.items() if name in names}


@dataclass(frozen=True)
class TunasProxylessSpace:
    """Stem, a separable convolution, 21 inverted bottlenecks of which 15 are optional, head.

    Args:
        name: space and version.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.
        filters: options of the stem, the first block, each of the six stages and the head.
    """

    name: str
    input_shape: Shape
    classes: int
    filters: tuple[tuple[int, ...], ...]

    @cached_property
    def choices(self) -> ChoiceSpace:
        """Filters where there are several, the first block's kernel, then every stage's decisions."""
        stem, first, head = self.filters[0], self.filters[1], self.filters[-1]
        choices = [*filter_choice("stem", stem), *filter_choice("first", first), Choice("first.kernel", KERNELS)]
        choices += [choice for stage in self._stages for choice in stage.choices()]
        return ChoiceSpace(self.name, (*choices, *filter_choice("head", head)))

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture; layers left out leave no node."""
        options = self.choices.canonical(arch).as_dict()
        stem = chosen_filters("stem", self.filters[0], options)
        before = chosen_filters("first", self.filters[1], options)
        nodes = [
            Node("stem", ConvBnAct(stem, 3, 2, activation="relu", bn_eps=BN_EPS)),
            Node("first", first_block(before, options["first.kernel"], residual=False)),
        ]
        for stage in self._stages:
            nodes += stage.nodes(options, before)
            before = chosen_filters(stage.name, stage.filters, options)
        head = chosen_filters("head", self.filters[-1], options)
        nodes.append(Node("head", ConvBnAct(head, 1, activation="relu", bn_eps=BN_EPS)))
        return NetworkSpec(self.input_shape, (*nodes, Node("classifier", Classifier(self.classes))))

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network; stem and head may differ if fixed.

        Raises:
            InputError: a layer that the space does not offer.
        """
        shapes = zip(_STAGE_LAYERS, _STAGE_STRIDES, strict=True)
        stages = fit_stages(outline.stages(plain_starts=True), ((1, 1), *shapes))
        options: dict[str, Option] = {}
        if len(self.filters[0]) > 1:
            options["stem.filters"] = pick(self.filters[0], outline.stem.output_shape[0], outline.stem, "width")
        first = next(stages)[0]
        options["first.filters"] = pick(self.filters[1], first.output_shape[0], first, "width")
        options["first.kernel"] = first_kernel(first)
        for layers, stage in zip(stages, self._stages, strict=True):
            options.update(stage.options_of(layers))
        if len(self.filters[-1]) > 1:
            options["head.filters"] = pick(self.filters[-1], outline.head.output_shape[0], outline.head, "width")
        return known_options(self.choices, options)

    def encoding(self, arch: Architecture) -> str:
        """The operations as TuNAS's archive writes them, by stages: "0 | 3 3 6 6 | …"; filters are not in it."""
        first, *layers = tunas_indices(self.choices.canonical(arch))
        groups, start = [str(first)], 0
        for count in _STAGE_LAYERS:
            groups.append(" ".join(map(str, layers[start : start + count])))
            start += count
        return " | ".join(groups)

    @cached_property
    def _stages(self) -> tuple[Stage, ...]:
        rows = zip(self.filters[2:-1], _STAGE_LAYERS, _STAGE_STRIDES, strict=True)
        return tuple(Stage(f"stage{i}", *row, expansions=_EXPANSIONS) for i, row in enumerate(rows, start=1))


def tunas_indices(arch: Architecture) -> list[int]:
    """An architecture as TuNAS's archive writes operations: the first block's kernel, then one index a layer.

    An index is the kernel's plus three for expansion 6; 6 is a layer left out. Filters are not part of it.

    Args:
        arch: of a ProxylessNAS-like space.

    Raises:
        InputError: it is of another space.
    """
    options = arch.as_dict()
    try:
        indices = [KERNELS.index(int(options["first.kernel"]))]
        for name in _layers():
            if options.get(name) == LEFT_OUT:
                indices.append(_SKIP_INDEX)
                continue
            expansion = _EXPANSIONS.index(int(options[f"{name}.expansion"]))
            indices.append(len(KERNELS) * expansion + KERNELS.index(int(options[f"{name}.kernel"])))
    except (KeyError, ValueError):
        raise InputError(f"an architecture of {quoted(arch.space)} has no TuNAS operation indices") from None
    return indices


def from_tunas_indices(
    space: TunasProxylessSpace, indices: Sequence[int], filters: Sequence[int] = ()
) -> Architecture:  # fmt: skip
    """The architecture of a published line; the inverse of `tunas_indices`.

    Args:
        space: in which it is meant.
        indices: 22 of them.
        filters: of stem, first block, stages and head; () where the space has no choice of them.

    Raises:
        InputError: too many or too few, out of range, or filters that the space does not offer.
    """
    names = _layers()
    if len(indices) != len(names) + 1 or (filters and len(filters) != len(space.filters)):
        raise InputError(f"TuNAS's encoding has {len(names) + 1} indices and {len(space.filters)} numbers of filters")
    if indices[0] not in range(len(KERNELS)) or any(index not in range(_SKIP_INDEX + 1) for index in indices[1:]):
        raise InputError(f"TuNAS's indices run from 0 to {_SKIP_INDEX}, the first one to {len(KERNELS) - 1}")
    options: dict[str, Option] = {"first.kernel": KERNELS[indices[0]]}
    for name, index in zip(names, indices[1:], strict=True):
        options[name] = LEFT_OUT if index == _SKIP_INDEX else KEPT
        if index != _SKIP_INDEX:
            options[f"{name}.kernel"] = KERNELS[index % len(KERNELS)]
            options[f"{name}.expansion"] = _EXPANSIONS[index // len(KERNELS)]
        elif name.endswith("block0"):
            raise InputError(f"the first layer of a stage cannot be left out: index {index} of {name!r}")
    places = ("stem", "first", *(f"stage{i}" for i in range(1, len(_STAGE_LAYERS) + 1)), "head")
    for place, offered, wanted in zip(places, space.filters, filters or (), strict=False):
        if wanted not in offered:
            raise InputError(f"{space.name} has no {place} of {wanted} filters; it has {', '.join(map(str, offered))}")
        options[f"{place}.filters"] = wanted
    return space.choices.architecture(known_options(space.choices, options))


def _layers() -> list[str]:
    return [f"stage{s}.block{b}" for s, layers in enumerate(_STAGE_LAYERS, start=1) for b in range(layers)]


def tunas_proxyless_space(
    enlarged: bool, input_shape: Shape = (3, 224, 224), classes: int = CLASSES, width: float = 1.0
) -> TunasProxylessSpace:  # fmt: skip
    """One of the two spaces fitted to images and classes.

    Args:
        enlarged: whether the filters are searched.
        input_shape: (channels, height, width) of the images, at least 64 pixels a side.
        classes: at least 2.
        width: multiplier of all widths, 0.1 to 4.

    Raises:
        InputError: a value out of range, or images too small.
    """
    name = "tunas-proxyless-enlarged" if enlarged else "tunas-proxyless"
    check_fit(name, (2, *_STAGE_STRIDES), input_shape, classes, width)
    base, multipliers = (_ENLARGED_FILTERS, MULTIPLIERS) if enlarged else (_FILTERS, (1.0,))
    filters = tuple(filter_options(one, multipliers, width) for one in base)
    return TunasProxylessSpace(versioned(name, width), input_shape, classes, filters)


KNOWN = {
    name: KnownSpace(text, tunas_proxyless_space(enlarged), partial(tunas_proxyless_space, enlarged))
    for name, enlarged, text in (
        ("tunas-proxyless", False, "TuNAS's form of the ProxylessNAS space: skip, kernel and expansion decided apart"),
        ("tunas-proxyless-enlarged", True, "the same with the filters of every stage searched: 10^28 networks"),
    )
}
