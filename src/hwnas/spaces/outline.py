"""A network taken apart as a stem, stages of blocks and a head, so that a space can say which of its own it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hwnas.core.architecture import Architecture, Option
from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, MBConv, SepConv
from hwnas.core.network import LocatedLayer, NetworkSpec, located_layers
from hwnas.core.protocols import SearchSpace


@dataclass(frozen=True, slots=True)
class Outline:
    """A network that is a chain.

    Args:
        input_shape: (channels, height, width) of its images.
        stem: its first layer.
        body: the layers between stem and tail.
        tail: the 1×1 convolutions behind the last block, if any, and the classifier.
        stem_layer: what the stem is.
        classifier: what the network ends in.
    """

    input_shape: tuple[int, ...]
    stem: LocatedLayer
    body: tuple[LocatedLayer, ...]
    tail: tuple[LocatedLayer, ...]
    stem_layer: ConvBnAct
    classifier: Classifier

    def stages(self, plain_starts: bool = False) -> list[list[LocatedLayer]]:
        """The body cut before every layer that changes width or resolution.

        Args:
            plain_starts: whether a layer without residual starts a stage too, for spaces whose stages may keep width.
        """
        stages: list[list[LocatedLayer]] = []
        for at in self.body:
            plain = plain_starts and isinstance(at.layer, MBConv) and not at.layer.residual
            if not stages or plain or stride_of(at) > 1 or at.input_shapes[0] != at.output_shape:
                stages.append([])
            stages[-1].append(at)
        return stages

    @property
    def head(self) -> LocatedLayer:
        """The one 1×1 convolution behind the blocks.

        Raises:
            InputError: there is none, or there are several.
        """
        if len(self.tail) != 2:
            raise InputError(f"{len(self.tail) - 1} convolutions stand between blocks and classifier, not one")
        return self.tail[0]


@runtime_checkable
class FindableSpace(SearchSpace, Protocol):
    """A space that can say which of its architectures a network is."""

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network.

        Raises:
            InputError: names the first layer that the space does not offer, and what it offers there.
        """
        ...


@runtime_checkable
class EncodedSpace(SearchSpace, Protocol):
    """A space whose authors write its architectures in a form of their own."""

    def encoding(self, arch: Architecture) -> str:
        """The architecture as its authors write it."""
        ...


def outlined(network: NetworkSpec) -> Outline:
    """A network as stem, body and tail.

    Raises:
        InputError: it is no chain that begins with a convolution and ends in a classifier.
    """
    layers = located_layers(network)
    first, final = (layers[0].layer, layers[-1].layer) if layers else (None, None)
    branches = any(node.inputs for node in network.nodes)
    if branches or not isinstance(first, ConvBnAct) or not isinstance(final, Classifier):
        raise InputError("the network is no chain of layers from a convolution to a classifier")
    last = len(layers) - 1
    while last > 1 and _is_pointwise(layers[last - 1]):
        last -= 1
    return Outline(network.input_shape, layers[0], layers[1:last], layers[last:], first, final)


def fit_stages(
    stages: list[list[LocatedLayer]], offered: Iterable[tuple[int, int]]
) -> Iterator[list[LocatedLayer]]:  # fmt: skip
    """The stages one by one, each with the stride and at most the layers offered, and in the end as many as offered.

    Args:
        stages: of a network.
        offered: (most layers, stride) of each stage of a space.

    Raises:
        InputError: names the first layer that does not fit.
    """
    shapes = tuple(offered)
    for index, layers in enumerate(stages):
        if index >= len(shapes):
            known = f"where {len(shapes)} are offered; a stage ends where width or resolution changes"
            raise InputError(f"layer {layers[0].name!r} starts stage {index + 1}, {known}")
        most, stride = shapes[index]
        if layers:
            pick((stride,), stride_of(layers[0]), layers[0], "stride")
        if len(layers) > most:
            raise InputError(f"layer {layers[most].name!r} is number {most + 1} of its stage, where {most} are offered")
        yield layers
    if len(stages) < len(shapes):
        last = next((layers[-1].name for layers in reversed(stages) if layers), "the stem")
        raise InputError(f"no stage follows {last!r}, the last of {len(stages)}, where {len(shapes)} are needed")


def bottleneck(at: LocatedLayer) -> MBConv:
    """The layer as an inverted bottleneck; a depthwise-separable convolution is one of expansion 1.

    Raises:
        InputError: it is another kind of layer.
    """
    match at.layer:
        case MBConv():
            return at.layer
        case SepConv(out_channels=channels, kernel=kernel, stride=stride):
            return MBConv(channels, kernel, 1, stride, residual=False)
        case other:
            kind = type(other).__name__
            raise InputError(f"layer {at.name!r} is a {kind}, where inverted bottlenecks (MBConv) are offered")


def pick(offered: Sequence[Option], wanted: float | str, at: LocatedLayer, what: str) -> Option:
    """The option that a layer has, of those that a space offers.

    Args:
        offered: by the space.
        wanted: by the network.
        at: the layer.
        what: is chosen, in words: "kernel".

    Raises:
        InputError: it is not offered.
    """
    for option in offered:
        if option == wanted:
            return option
    has = wanted if isinstance(wanted, str) else f"{wanted:g}"
    known = f"{', '.join(map(str, offered))} {'is' if len(offered) == 1 else 'are'} offered"
    raise InputError(f"layer {at.name!r} has {what} {has}, where {known}")


def stride_of(at: LocatedLayer) -> int:
    """The stride of a layer, 1 where its kind has none."""
    stride: int = getattr(at.layer, "stride", 1)
    return stride


def _is_pointwise(at: LocatedLayer) -> bool:
    return isinstance(at.layer, ConvBnAct) and at.layer.kernel == at.layer.stride == 1
