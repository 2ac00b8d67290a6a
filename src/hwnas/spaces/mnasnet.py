"""`mnasnet`: MnasNet's factorised hierarchical space, seven blocks of equal layers on MobileNetV2's skeleton.

Source: Tan, Chen, Pang, Vasudevan, Sandler, Howard, Le 2019, "MnasNet: Platform-Aware Neural Architecture Search for
Mobile", section 4.1: a block chooses convolution, kernel, squeeze-excite ratio, skip operation, filters and number of
layers (432 combinations), the last two relative to MobileNetV2. Squeeze-excite has a quarter of the channels that the
layer reads, as in the released networks (github.com/tensorflow/tpu), ReLU everywhere, batch-norm epsilon 1e-3.

What the paper leaves open, and is so here:
- "sepconv" is a bottleneck that does not expand (as the released networks write it);
- squeeze-excite stands behind the (depthwise) convolution;
- the first layer of a block has no skip; with one layer there is nothing to choose;
- "pool" adds what the layer read, 3×3 average-pooled at stride 1;
- filters are rounded to a multiple of 8, so that in the first block 0.75 and 1.0 both give 16;
- a block of no layers (the first and the last may have none) passes what it reads.

The published networks: none but MobileNetV2 itself lies in the space so written. MnasNet-A1 has 112 channels where 72,
96 and 120 are offered, B1 has 192 where 120, 160 and 200 are, small has 8 in its first block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace, Condition
from hwnas.core.errors import InputError
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, ResidualConv, SepConv, make_divisible
from hwnas.core.network import LocatedLayer, NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.spaces.fitting import check_fit, versioned
from hwnas.spaces.known import KnownSpace
from hwnas.spaces.outline import Outline, bottleneck, fit_stages, pick, stride_of

OPERATIONS: tuple[Option, ...] = ("conv", "sepconv", "mbconv3", "mbconv6")
KERNELS: tuple[Option, ...] = (3, 5)
SE_RATIOS: dict[Option, float] = {"none": 0.0, "0.25": 0.25}
SKIPS: tuple[Option, ...] = ("pool", "identity", "none")
FILTERS: dict[Option, float] = {"0.75": 0.75, "1.0": 1.0, "1.25": 1.25}
_MOBILENET_V2 = (  # channels, layers (Sandler et al. 2018, table 2)
    (16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1),
)  # fmt: skip
_STRIDES = (2, 1, 2, 2, 2, 1, 2, 1)
_STRIDES_OF_SMALL = (2, 1, 1, 2, 1, 1, 2, 1)
_STEM, _HEAD = 32, 1280
_BN_EPS = 1e-3


@dataclass(frozen=True)
class MnasnetSpace:
    """Stem, seven blocks, head; all layers of a block are alike.

    Args:
        name: space and version.
        input_shape: (channels, height, width) of the images.
        classes: number of classes.
        width: multiplies every width.
        strides: of the stem and of the first layer of every block.
    """

    name: str = "mnasnet@1"
    input_shape: Shape = (3, 224, 224)
    classes: int = 1000
    width: float = 1.0
    strides: tuple[int, ...] = _STRIDES

    @cached_property
    def choices(self) -> ChoiceSpace:
        """Block by block: layers, then operation, kernel, squeeze-excite, filters where there are any, and the skip."""
        return ChoiceSpace(
            self.name, tuple(choice for name, _, layers in _blocks() for choice in _choices(name, layers))
        )

    def decode(self, arch: Architecture) -> NetworkSpec:
        """The network of an architecture; a block of no layers leaves no node."""
        options = self.choices.canonical(arch).as_dict()
        before = self._scaled(_STEM)
        nodes = [Node("stem", ConvBnAct(before, 3, self.strides[0], activation="relu", bn_eps=_BN_EPS))]
        for (name, channels, _), stride in zip(_blocks(), self.strides[1:], strict=True):
            for layer in range(int(options[f"{name}.layers"])):
                out = self._scaled(channels * FILTERS[options[f"{name}.filters"]])
                skip = options[f"{name}.skip"] if layer else "none"
                spec = _layer(name, options, before, out, 1 if layer else stride, skip)
                nodes.append(Node(f"{name}.block{layer}", spec))
                before = out
        head = make_divisible(_HEAD * max(1.0, self.width))
        nodes.append(Node("head", ConvBnAct(head, 1, activation="relu", bn_eps=_BN_EPS)))
        return NetworkSpec(self.input_shape, (*nodes, Node("classifier", Classifier(self.classes))))

    def uniform_architectures(self) -> dict[str, Architecture]:
        """MobileNetV2's layer counts and skips with one operation, kernel and filter factor throughout."""
        plain = {f"{name}.{what}": option for name, _, layers in _blocks() for what, option in
                 (("layers", layers), ("se", "none"), ("skip", "identity"))}  # fmt: skip
        found = {}
        for operation, kernel, filters in product(OPERATIONS[1:], KERNELS, FILTERS):
            chosen = {"op": operation, "kernel": kernel, "filters": filters}
            options = {f"{name}.{what}": option for name, *_ in _blocks() for what, option in chosen.items()}
            text = f"{operation}, kernel {kernel}, filters {filters}"
            found[text] = self.choices.architecture({**plain, **options})
        return found

    def options_of(self, outline: Outline) -> dict[str, Option]:
        """The options under which this space's layers are those of a network.

        Raises:
            InputError: a layer that the space does not offer, or layers of a block that are not alike; or the space has
                blocks that no layer parts, being of stride 1 and possibly of equal width.
        """
        if self.strides != _STRIDES:
            raise InputError(f"networks cannot be found in {self.name!r}: use space mnasnet")
        stages = outline.stages()
        if stages and stride_of(stages[0][0]) == 2:
            stages.insert(0, [])  # the first block is the only one of stride 1 among the first four
        if len(stages) == len(_MOBILENET_V2) - 1:
            stages.append([])
        shapes = zip(_blocks(), self.strides[1:], strict=True)
        fitted = fit_stages(stages, ((layers + 1, stride) for (_, _, layers), stride in shapes))
        options: dict[str, Option] = {}
        for found, (name, channels, layers) in zip(fitted, _blocks(), strict=True):
            options[f"{name}.layers"] = len(found)
            for index, at in enumerate(found):
                for what, option in self._options(at, channels, index > 0).items():
                    known = options.setdefault(f"{name}.{what}", option)
                    if known != option:
                        raise InputError(
                            f"layer {at.name!r} has {what} {option} after a layer with {known}, where all layers of a "
                            "block are alike"
                        )
            if found:
                pick(_layer_counts(layers), len(found), found[-1], "as the last of its block, a number of layers of")
        return options

    def _options(self, at: LocatedLayer, channels: int, later: bool) -> dict[str, Option]:
        """What one layer of a network has; later layers of a block have a skip, too."""
        layer = at.layer
        if not isinstance(layer, (MBConv, ResidualConv)):
            layer = _plain(at)
        widths: dict[int, Option] = {self._scaled(channels * FILTERS[name]): name for name in FILTERS}
        out = int(pick(tuple(widths), layer.out_channels, at, "width"))
        operation: Option = "conv"
        if isinstance(layer, MBConv):
            written = "sepconv" if layer.expansion == 1 else f"mbconv{layer.expansion:g}"
            operation = pick(OPERATIONS, written, at, "operation")
        reads = at.input_shapes[0][0]
        ratios = {_se_channels(reads, ratio): name for name, ratio in SE_RATIOS.items()}
        excited = int(pick(tuple(ratios), layer.se_channels, at, "squeeze-excite channels"))
        options = {
            "op": operation,
            "kernel": pick(KERNELS, layer.kernel, at, "kernel"),
            "se": ratios[excited],
            "filters": widths[out],
        }
        skip = ("pool" if layer.pool_shortcut else "identity") if layer.residual else "none"
        return {**options, "skip": skip} if later else options

    def _scaled(self, channels: float) -> int:
        return make_divisible(channels * self.width)


def _blocks() -> Iterator[tuple[str, int, int]]:
    """Name, and MobileNetV2's channels and layers."""
    return ((f"stage{index}", *row) for index, row in enumerate(_MOBILENET_V2, start=1))


def _choices(name: str, layers: int) -> Iterator[Choice]:
    counts = _layer_counts(layers)
    layered = Condition(f"{name}.layers", tuple(count for count in counts if count > 0)) if 0 in counts else None
    yield Choice(f"{name}.layers", counts)
    yield Choice(f"{name}.op", OPERATIONS, layered)
    yield Choice(f"{name}.kernel", KERNELS, layered)
    yield Choice(f"{name}.se", tuple(SE_RATIOS), layered)
    yield Choice(f"{name}.filters", tuple(FILTERS), layered)
    several = tuple(count for count in counts if count > 1)
    yield Choice(f"{name}.skip", SKIPS, None if several == counts else Condition(f"{name}.layers", several))


def _layer_counts(layers: int) -> tuple[int, ...]:
    return (layers - 1, layers, layers + 1)


def _layer(name: str, options: Mapping[str, Option], before: int, out: int, stride: int, skip: Option) -> LayerSpec:
    """One layer of a block, which reads `before` channels."""
    kernel, excited = int(options[f"{name}.kernel"]), _se_channels(before, SE_RATIOS[options[f"{name}.se"]])
    residual, pool = skip != "none", skip == "pool"
    if options[f"{name}.op"] == "conv":
        return ResidualConv(out, kernel, stride, excited, residual=residual, pool_shortcut=pool, bn_eps=_BN_EPS)
    expansion = {"sepconv": 1, "mbconv3": 3, "mbconv6": 6}[str(options[f"{name}.op"])]
    return MBConv(
        out, kernel, expansion, stride, excited, activation="relu", residual=residual, bn_eps=_BN_EPS,
        pool_shortcut=pool,
    )  # fmt: skip


def _plain(at: LocatedLayer) -> MBConv | ResidualConv:
    """A layer without squeeze-excite and skip as the kind that may have them."""
    match at.layer:
        case ConvBnAct(out_channels=out, kernel=kernel, stride=stride, groups=1):
            return ResidualConv(out, kernel, stride, residual=False)
        case SepConv():
            return bottleneck(at)
        case other:
            kind = type(other).__name__
            raise InputError(f"layer {at.name!r} is a {kind}, where {', '.join(map(str, OPERATIONS))} are offered")


def _se_channels(reads: int, ratio: float) -> int:
    return max(1, int(reads * ratio)) if ratio else 0


def mnasnet_space(input_shape: Shape = (3, 224, 224), classes: int = 1000, width: float = 1.0) -> MnasnetSpace:
    """The space fitted to images and classes.

    Args:
        input_shape: (channels, height, width) of the images, at least 64 pixels a side.
        classes: at least 2.
        width: multiplier of all widths but the head's, which only grows; 0.1 to 4.

    Raises:
        InputError: a value out of range, or images too small.
    """
    check_fit("mnasnet", _STRIDES, input_shape, classes, width)
    return MnasnetSpace(versioned("mnasnet", width), input_shape, classes, width)


def mnasnet_small_space(input_shape: Shape = (3, 32, 32), classes: int = 10, width: float = 1.0) -> MnasnetSpace:
    """The same choices with fewer strides: images shrink eightfold, first in the stem, so that a CPU trains them.

    Args:
        input_shape: (channels, height, width) of the images, at least 16 pixels a side.
        classes: at least 2.
        width: as of `mnasnet_space`.

    Raises:
        InputError: a value out of range, or images too small.
    """
    check_fit("mnasnet-small", _STRIDES_OF_SMALL, input_shape, classes, width)
    return MnasnetSpace(versioned("mnasnet-small", width), input_shape, classes, width, _STRIDES_OF_SMALL)


KNOWN = {
    "mnasnet": KnownSpace(
        "MnasNet's space: what the layers of seven blocks are and how many, 4·10^17 networks",
        mnasnet_space(),
        mnasnet_space,
    ),
    "mnasnet-small": KnownSpace(
        "MnasNet's choices with strides for images of 16 to 63 pixels, 4·10^17 networks",
        mnasnet_small_space(),
        mnasnet_small_space,
    ),
}
