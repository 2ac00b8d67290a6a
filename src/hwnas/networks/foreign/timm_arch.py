"""timm's `arch_def`: lists of block strings such as "ir_r3_k5_s2_e3_c40_se0.25", one list a stage.

Source: github.com/huggingface/pytorch-image-models, timm/models/_efficientnet_builder.py (decode_arch_def,
EfficientNetBuilder), efficientnet.py and mobilenetv3.py (the arguments of the models and their defaults).

Differs: what timm passes over in silence is refused: options that it does not know, or that a kind of block does not
have, an option given twice, and strides that it would turn into dilation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwnas.core.errors import FileFormatError, quoted
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, SepConv, make_divisible
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.primitives import Shape
from hwnas.core.timm_layout import timm_layout
from hwnas.networks.foreign.fields import LARGEST, MOST_BLOCKS, Fields
from hwnas.networks.foreign.found import ForeignNetwork

_RESOLUTION, _CLASSES = 224, 1000
_LARGEST_REDUCTION = 32  # timm's output_stride; from there on it dilates
_KINDS = ("ds", "dsa", "ir", "cn")
_OPTIONS = {"ds": "r k s e c se n", "dsa": "r k s e c n", "ir": "r k s e c se n", "cn": "r k s c n"}
_SHORT = {"re": "relu", "r6": "relu6", "hs": "hard_swish", "sw": "swish"}
_ACTIVATIONS = {"relu": "relu", "relu6": "relu6", "hard_swish": "hard_swish", "swish": "swish", "silu": "swish"}
_ROUNDINGS = ("ceil", "round")
_GATES = ("sigmoid", "hard_sigmoid")
_OPTION = re.compile(r"(r|k|s|e|c|se)(\d{1,6}(?:\.\d{1,9})?)")


@dataclass(frozen=True, slots=True)
class _Block:
    """One block string, decoded."""

    place: str
    kind: str
    repeats: int
    kernel: int
    stride: int
    expansion: float
    channels: int
    se_ratio: float
    skips: bool
    activation: str | None


@dataclass(frozen=True, slots=True)
class _Model:
    """The arguments of timm's model class."""

    pooled_head: bool  # MobileNetV3's: the head convolution stands behind pooling
    head_bias: bool
    channel_multiplier: float
    stem_channels: int
    head_channels: int
    activation: str
    bn_eps: float
    se_from_expanded: bool
    se_activation: str | None
    se_gate: str
    se_rounded: bool

    def width(self, channels: int) -> int:
        """What timm calls round_channels."""
        return make_divisible(channels * self.channel_multiplier)


def read_timm_arch(data: Any, input_shape: Shape | None, classes: int | None) -> ForeignNetwork:
    """A bare `arch_def`, or an object with it and the arguments of timm's EfficientNet or MobileNetV3 beside it.

    Args:
        data: a list of lists of block strings; or an object with "arch_def" and, where they differ from timm's
            defaults, "model" ("EfficientNet" or "MobileNetV3", the class), "stem_size", "fix_stem", "num_features",
            "head_bias", "act_layer", "channel_multiplier", "depth_multiplier", "depth_trunc",
            "fix_first_last", "bn_eps", "se_from_exp",
            "se_act_layer", "se_gate_layer", "se_round_channels", "num_classes", "in_chans", "resolution".
        input_shape: (channels, height, width); None for the file's own, or 224 pixels.
        classes: None for the file's own, or 1000.

    Raises:
        FileFormatError: names the block or the field.
    """
    file = Fields(data if isinstance(data, Mapping) else {"arch_def": data})
    model = _model(file)
    depth, rounding = file.number("depth_multiplier", 0.01, 100, 1.0), file.one_of("depth_trunc", _ROUNDINGS, "ceil")
    fixed, rows = file.flag("fix_first_last", False), list(_stages(file))
    ends = (0, len(rows) - 1) if fixed else ()
    stages = [_scaled(blocks, 1.0 if stage in ends else depth, rounding) for stage, blocks in enumerate(rows)]
    if sum(map(len, stages)) > MOST_BLOCKS:
        raise file.wrong("arch_def", f"at most {MOST_BLOCKS} blocks with all their repeats")
    side, channels = file.whole("resolution", _RESOLUTION), file.whole("in_chans", 3)
    count = classes or file.whole("num_classes", _CLASSES)
    notes = [
        f"{name} is {rate:g}: dropout is a matter of training, not of a network"
        for name in ("drop_rate", "drop_path_rate")
        if (rate := file.number(name, 0, 0.99, 0))
    ]
    file.neutral("pad_type", "")
    file.neutral("global_pool", "avg")
    for name in ("num_classes", "pad_type", "global_pool"):
        file.value(name, None)
    file.done()
    nodes = [Node("stem", ConvBnAct(model.stem_channels, 3, 2, activation=model.activation, bn_eps=model.bn_eps))]
    nodes += _nodes(model, stages)
    if model.head_channels and not model.pooled_head:
        head = ConvBnAct(model.head_channels, 1, activation=model.activation, bn_eps=model.bn_eps)
        nodes.append(Node("head", head))
    hidden = model.head_channels if model.pooled_head else 0
    if hidden:
        nodes.append(Node("classifier", Classifier(count, hidden, model.head_bias, model.activation)))
    else:
        nodes.append(Node("classifier", Classifier(count)))
    network = NetworkSpec(input_shape or (channels, side, side), tuple(nodes))
    names = {ours: (theirs,) for ours, theirs in timm_layout(network).names.items()}
    return ForeignNetwork(network, "timm arch_def", names, tuple(notes))


def _model(file: Fields) -> _Model:
    pooled = file.one_of("model", ("EfficientNet", "MobileNetV3"), "EfficientNet") == "MobileNetV3"
    multiplier = file.number("channel_multiplier", 0.01, 100, 1.0)
    stem = file.whole("stem_size", 16 if pooled else 32)
    if not file.flag("fix_stem", False):
        stem = make_divisible(stem * multiplier)
    se_activation = file.one_of("se_act_layer", (*_ACTIVATIONS, None), None)
    head_bias = file.flag("head_bias", True)
    if not pooled and file.has("head_bias"):
        raise file.wrong("head_bias", 'left out, or "model" be "MobileNetV3"')
    return _Model(
        pooled_head=pooled,
        head_bias=head_bias,
        channel_multiplier=multiplier,
        stem_channels=stem,
        head_channels=file.whole("num_features", 1280, least=1 if pooled else 0),
        activation=_ACTIVATIONS[file.one_of("act_layer", tuple(_ACTIVATIONS), "relu")],
        bn_eps=file.number("bn_eps", 1e-12, 1, 1e-5),
        se_from_expanded=file.flag("se_from_exp", pooled),
        se_activation=None if se_activation is None else _ACTIVATIONS[se_activation],
        se_gate=file.one_of("se_gate_layer", _GATES, "sigmoid"),
        se_rounded=file.flag("se_round_channels", False),
    )


def _stages(file: Fields) -> Iterator[list[_Block]]:
    for stage, row in enumerate(file.rows("arch_def")):
        if not isinstance(row, list) or not 1 <= len(row) <= MOST_BLOCKS:
            raise FileFormatError(f"arch_def[{stage}] must be a list of block strings, not {quoted(row)}")
        yield [_decoded(text, f"arch_def[{stage}][{index}]") for index, text in enumerate(row)]


def _decoded(text: Any, place: str) -> _Block:
    """One block string: its kind, then options of a letter or two and a number, "noskip", "skip", or "nre"."""
    if not isinstance(text, str):
        raise FileFormatError(f"{place} must be a block string such as 'ir_r2_k3_s2_e6_c24', not {quoted(text)}")
    place = f"block {quoted(text)} ({place})"
    kind, *options = text.split("_")
    if kind not in _KINDS:
        raise FileFormatError(f"{place} is of a kind that cannot be read; those that can are {', '.join(_KINDS)}")
    found: dict[str, str] = {}
    for option in options:
        match = _OPTION.fullmatch(option)
        name, value = match.groups() if match else ("n", option[1:])
        if option in ("skip", "noskip"):
            name, value = "skip", option
        elif name not in _OPTIONS[kind].split() or (name == "n" and (option[:1] != "n" or value not in _SHORT)):
            raise FileFormatError(f"{place} has the option {quoted(option)}, which no layer of ours can follow")
        if name in found:
            raise FileFormatError(f"{place} has the option {quoted(name)} twice")
        found[name] = value
    skips = found.get("skip", "noskip" if kind in ("cn", "dsa") else "skip") == "skip"
    if kind in ("cn", "dsa") and skips:
        raise FileFormatError(f"{place} has 'skip': no {kind} block of ours has a residual")
    expansion = _number(found, "e", place, "1" if kind != "ir" else None)
    if kind != "ir" and expansion != 1:
        raise FileFormatError(f"{place} has an expansion of {expansion:g}, but only an ir block expands")
    kernel, stride = _whole(found, "k", place), _whole(found, "s", place)
    if kernel % 2 == 0 or stride not in (1, 2):
        raise FileFormatError(f"{place} needs an odd kernel k, and a stride s of 1 or 2")
    activation = found.get("n")
    return _Block(
        place, kind, _whole(found, "r", place), kernel, stride, expansion, _whole(found, "c", place),
        _number(found, "se", place, "0", least=0), skips, None if activation is None else _SHORT[activation],
    )  # fmt: skip


def _number(found: Mapping[str, str], name: str, place: str, default: str | None, least: float = 0.01) -> float:
    text = found.get(name, default)
    if text is None or not least <= float(text) <= 100:
        raise FileFormatError(f"{place} needs the option {name!r}: a number from {least:g} to 100")
    return float(text)


def _whole(found: Mapping[str, str], name: str, place: str) -> int:
    text = found.get(name, "")
    if not text.isdigit() or not 1 <= int(text) <= LARGEST:
        raise FileFormatError(f"{place} needs the option {name!r}: a whole number from 1 to {LARGEST}")
    return int(text)


def _scaled(blocks: Sequence[_Block], multiplier: float, rounding: str) -> list[_Block]:
    """The blocks of a stage with their repeats, scaled as a whole and shared out from the last block string on."""
    left = sum(block.repeats for block in blocks)
    wanted = max(1, round(left * multiplier)) if rounding == "round" else math.ceil(left * multiplier)
    scaled: list[_Block] = []
    for block in reversed(blocks):
        repeats = max(1, round(block.repeats / left * wanted))
        if repeats > MOST_BLOCKS:
            raise FileFormatError(f"{block.place} is repeated {repeats:,} times; at most {MOST_BLOCKS:,} are read")
        left, wanted = left - block.repeats, wanted - repeats
        scaled = [block] * repeats + scaled
    return scaled


def _nodes(model: _Model, stages: Sequence[Sequence[_Block]]) -> Iterator[Node]:
    channels, reduction = model.stem_channels, 2
    for stage, blocks in enumerate(stages, start=1):
        for index, block in enumerate(blocks):
            stride = block.stride if index == 0 else 1  # whatever the string says: timm's rule
            reduction *= stride
            if reduction > _LARGEST_REDUCTION:
                raise FileFormatError(
                    f"{block.place} would shrink the map {reduction}-fold: timm dilates instead from "
                    f"{_LARGEST_REDUCTION} on, and no layer of ours does"
                )
            layer = _layer(model, block, channels, stride)
            channels = model.width(block.channels)
            yield Node(f"stage{stage}.block{index}", layer)


def _layer(model: _Model, block: _Block, channels: int, stride: int) -> LayerSpec:
    out, activation, eps = model.width(block.channels), block.activation or model.activation, model.bn_eps
    if block.kind == "cn":
        return ConvBnAct(out, block.kernel, stride, activation=activation, bn_eps=eps)
    if block.kind == "dsa":
        return SepConv(out, block.kernel, stride, activation, eps)
    expands = block.kind == "ir"
    middle = make_divisible(channels * block.expansion) if expands else channels
    squeezed = 0
    if block.se_ratio:
        ratio = block.se_ratio if model.se_from_expanded else block.se_ratio / block.expansion
        squeezed = make_divisible(middle * ratio) if model.se_rounded else round(middle * ratio)
        if squeezed < 1:
            raise FileFormatError(f"{block.place}: se{block.se_ratio:g} leaves no channel of {middle}")
    return MBConv(
        out,
        block.kernel,
        middle // channels if middle % channels == 0 else middle / channels,
        stride,
        squeezed,
        activation,
        residual=block.skips,
        expand_always=expands and middle == channels,
        se_activation=(model.se_activation or activation) if squeezed else "relu",
        se_gate=model.se_gate if squeezed else "sigmoid",
        bn_eps=eps,
    )
