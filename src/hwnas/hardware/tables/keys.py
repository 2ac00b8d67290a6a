"""The keys of published latency tables: how a layer is written in each form.

Source: ProxylessNAS's released search code (github.com/mit-han-lab/proxylessnas) and Once-for-All's tutorial
(github.com/mit-han-lab/once-for-all, ofa/tutorial/latency_table.py). The two differ in what `expand` means (the ratio;
the width in the middle), in the flags `se` and `hs`, and in whether pooling and the hidden layer have their own rows.

What a key does not say cannot be told apart: rows of Conv and Conv_1 stand for any activation, hs:0 and rows without
flags for ReLU and ReLU6, Logits and Conv_2 for any bias.
"""

from __future__ import annotations

import re
from enum import Enum

from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv, Zero
from hwnas.core.network import LocatedLayer
from hwnas.core.primitives import Shape

_SHAPE = "[1-9][0-9]{0,4}x[1-9][0-9]{0,4}x[1-9][0-9]{0,5}"
_ENDS = f"-input:(?P<input>{_SHAPE})-output:{_SHAPE}"
_BLOCK = re.compile(
    rf"expanded_conv{_ENDS}-expand:[1-9][0-9]{{0,5}}(?:\.[0-9]{{1,6}})?-kernel:[1-9][0-9]?-stride:[1-9]-idskip:[01]"
    r"(?P<flags>-se:[01]-hs:[01])?"
)
_OTHER = re.compile(rf"(?P<kind>Conv|Conv_1|Conv_2|AvgPool2D){_ENDS}")
_LOGITS = re.compile(f"Logits-input:{_SHAPE}-output:[1-9][0-9]{{0,6}}")
_PLAIN = ("relu", "relu6")


class KeyForm(Enum):
    """Whose way of writing keys."""

    PROXYLESSNAS = "proxylessnas"
    ONCE_FOR_ALL = "once-for-all"

    @property
    def has_flags(self) -> bool:
        """Whether keys give the middle width, squeeze-excite and the activation."""
        return self is KeyForm.ONCE_FOR_ALL


def form_of_key(key: str) -> KeyForm | None:
    """The form that a key is in; None where both write it alike.

    Raises:
        ValueError: no form has such a key.
    """
    block = _BLOCK.fullmatch(key)
    if block:
        return KeyForm.ONCE_FOR_ALL if block["flags"] else KeyForm.PROXYLESSNAS
    if not _OTHER.fullmatch(key) and not _LOGITS.fullmatch(key):
        raise ValueError("it is no key of ProxylessNAS's or Once-for-All's form")
    return None


def images_of_key(key: str) -> str | None:
    """The images, as "224x224", that the key of a first convolution says a table is for; None for every other key."""
    found = _OTHER.fullmatch(key)
    return found["input"].rpartition("x")[0] if found and found["kind"] == "Conv" else None


def images(input_shape: Shape) -> str:
    """The images of a network as tables name them, "224x224"."""
    return f"{input_shape[1]}x{input_shape[2]}"


def keys_of(layer: LocatedLayer, form: KeyForm) -> tuple[str, ...]:
    """The rows whose sum is a layer's price; none for Zero. Layers that the form cannot write get a key of no table.

    Once-for-All's tables have global pooling and the layer before the scores apart; in ProxylessNAS's one row is all.
    """
    spec = layer.layer
    match spec:
        case Zero():
            return ()
        case MBConv():
            return (_block_key(spec, layer, form),)
        case ConvBnAct(kernel=3, stride=2, groups=1):
            return (_key("Conv", layer.input_shapes[0], layer.output_shape),)
        case ConvBnAct(kernel=1, stride=1, groups=1):
            return (_key("Conv_1", layer.input_shapes[0], layer.output_shape),)
        case ConvBnAct():
            key = _key("ConvBnAct", layer.input_shapes[0], layer.output_shape)
            return (f"{key}-kernel:{spec.kernel}-stride:{spec.stride}-groups:{spec.groups}",)
        case Classifier():
            return _classifier_keys(spec, layer, form)
        case _:
            return (_key(type(spec).__name__, layer.input_shapes[0], layer.output_shape) + _numbers(spec),)


def _block_key(spec: MBConv, layer: LocatedLayer, form: KeyForm) -> str:
    before, after = layer.input_shapes[0], layer.output_shape
    skips = spec.residual and spec.stride == 1 and before[0] == after[0]
    expand = str(spec.middle_channels(before[0])) if form.has_flags else f"{spec.expansion:g}"
    key = f"{_key('expanded_conv', before, after)}-expand:{expand}-kernel:{spec.kernel}-stride:{spec.stride}"
    key += f"-idskip:{int(skips)}"
    swish = spec.activation == "hard_swish"
    if form.has_flags or spec.se_channels or swish:
        key += f"-se:{int(spec.se_channels > 0)}-hs:{int(swish)}"
    if not swish and spec.activation not in _PLAIN:
        key += f"-activation:{spec.activation}"
    # Rows of expansion 1 have no expansion convolution.
    return f"{key}-expand_always" if spec.expansion == 1 and spec.expand_always else key


def _classifier_keys(spec: Classifier, layer: LocatedLayer, form: KeyForm) -> tuple[str, ...]:
    before = layer.input_shapes[0]
    if not form.has_flags and not spec.hidden_channels:
        return (f"Logits-input:{_text(before)}-output:{spec.classes}",)
    pooled, hidden = (before[0], 1, 1), (spec.hidden_channels or before[0], 1, 1)
    mixed = (_key("Conv_2", pooled, hidden),) if spec.hidden_channels else ()
    return (_key("AvgPool2D", before, pooled), *mixed, f"Logits-input:{_text(hidden)}-output:{spec.classes}")


def _key(kind: str, before: Shape, after: Shape) -> str:
    return f"{kind}-input:{_text(before)}-output:{_text(after)}"


def _text(shape: Shape) -> str:
    """(channels, height, width) as height x width x channels."""
    return "x".join(map(str, (*shape[1:], shape[0])))


def _numbers(spec: LayerSpec) -> str:
    """What keys have in common with a layer of another kind."""
    found = {name: getattr(spec, name, None) for name in ("kernel", "stride")}
    return "".join(f"-{name}:{value}" for name, value in found.items() if value is not None)
