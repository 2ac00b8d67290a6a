"""LayerSpecs as JSON: the kinds by name, written and read with every field checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, cast

from hwnas.core.darts import DartsCell
from hwnas.core.errors import FileFormatError, InputError, UnknownName, quoted
from hwnas.core.layers import (
    Act,
    BasicBlock,
    BnAct,
    Bottleneck,
    Classifier,
    ConvBnAct,
    LayerSpec,
    MBConv,
    Pooling,
    ResidualConv,
    SepConv,
    ShuffleUnit,
    Sum,
    Zero,
)
from hwnas.core.lowering import LATER
from hwnas.core.nasnet import NasnetCell
from hwnas.core.pyramid import PyramidTreeBlock

_MAY_BE_ZERO = ("se_channels", "hidden_channels")
LAYERS: dict[str, type] = {
    layer.__name__: layer
    for layer in (
        ConvBnAct, BnAct, Act, SepConv, MBConv, ResidualConv, ShuffleUnit, BasicBlock, Bottleneck, Pooling, Zero,
        Sum, Classifier, NasnetCell, DartsCell, PyramidTreeBlock,
    )
}  # fmt: skip


def layer_to_json(layer: LayerSpec) -> dict[str, Any]:
    """A dictionary of plain values, with the kind under "layer"; a later version's fields only where they differ."""
    later = {field.name: field.default for field in fields(cast(Any, layer)) if LATER in field.metadata}
    values = asdict(cast(Any, layer)).items()
    return {"layer": type(layer).__name__, **{k: v for k, v in values if k not in later or v != later[k]}}


def layer_from_json(data: Mapping[str, Any]) -> LayerSpec:
    """Reads what `layer_to_json` wrote.

    Raises:
        UnknownName: no such kind of layer.
        FileFormatError: a field is missing, unknown or of the wrong type.
    """
    kind = data.get("layer")
    if not isinstance(kind, str):
        raise FileFormatError("a layer needs the field 'layer' with its kind")
    if kind not in LAYERS:
        raise UnknownName("layer kind", kind, LAYERS)
    known = {field.name: field for field in fields(LAYERS[kind])}
    values = {name: _as_tuple(value) for name, value in data.items() if name != "layer"}
    for name, value in values.items():
        if name not in known:
            raise FileFormatError(f"layer {kind} has no field {quoted(name)}; it has {', '.join(known)}")
        _check_field(kind, name, str(known[name].type), value)
    try:
        return cast(LayerSpec, LAYERS[kind](**values))
    except (TypeError, InputError) as reason:
        raise FileFormatError(f"layer {kind}: {reason}") from None


def _check_field(kind: str, name: str, annotation: str, value: Any) -> None:
    """Plain type checks of one field of a layer that comes from a file."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    good = {
        "int": number and isinstance(value, int) and (name not in _MAY_BE_ZERO) <= value < 2**31,
        "float": number and 0 < value < 1e6,
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
    }.get(annotation, isinstance(value, tuple))
    if not good:
        raise FileFormatError(f"layer {kind}: field {name!r} must be {annotation}, not {quoted(value)}")


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
