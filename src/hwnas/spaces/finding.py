"""Finds a network in a search space: the architecture with its kernels, expansions and widths, and what differs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, cast

from hwnas.core.architecture import Architecture
from hwnas.core.errors import InputError, said_of
from hwnas.core.layers import Classifier, MBConv, ResidualConv
from hwnas.core.network import LocatedLayer, NetworkSpec
from hwnas.core.protocols import SearchSpace
from hwnas.spaces.outline import FindableSpace, Outline, outlined

_SEARCHED = ("kernel", "expansion", "out_channels", "stride")
_WORDS = {
    "bn_eps": "batch-norm epsilon",
    "expand_always": "expansion convolution at expansion 1",
    "hidden_bias": "bias of the hidden layer",
    "hidden_channels": "width of the hidden layer",
    "kind": "kind of layer",
    "out_channels": "width",
    "pool_shortcut": "pooled shortcut",
    "se_activation": "activation in squeeze-excite",
    "se_channels": "squeeze-excite channels",
    "se_gate": "gate of squeeze-excite",
}
_LISTED = 3  # layers of a difference that are named; of more, the rest is counted


@dataclass(frozen=True, slots=True)
class Found:
    """Where a network lies in a space.

    Args:
        architecture: decodes to the network's kernel, expansion and output width in every searched layer.
        differences: what else differs between its network and the one asked for, a sentence each.
    """

    architecture: Architecture
    differences: tuple[str, ...]


def find(space: SearchSpace, network: NetworkSpec) -> Found:
    """The architecture of a space that a network is.

    Args:
        space: any with `options_of`.
        network: a chain.

    Raises:
        InputError: it does not lie in the space; names the first layer that the space lacks and what it offers there.
    """
    name = space.choices.name
    if not isinstance(space, FindableSpace):
        raise InputError(f"no network can be looked up in space {name!r}: it does not say what its layers look like")
    with said_of(f"the network does not lie in space {name!r}"):
        asked = outlined(network)
        arch = space.choices.architecture(space.options_of(asked))
        own = outlined(space.decode(arch))
        _check_searched(space, own, asked)
    return Found(arch, _differences(own, asked))


def _check_searched(space: SearchSpace, own: Outline, asked: Outline) -> None:
    """Whether every layer that the space decides is the one asked for."""
    if len(own.body) != len(asked.body):
        raise InputError(f"it has {len(asked.body)} blocks, the nearest network of the space {len(own.body)}")
    decided = {choice.name.split(".")[0] for choice in space.choices.choices}
    for mine, theirs in zip(own.body, asked.body, strict=True):
        if mine.name.split(".")[0] in decided:
            for fact, (has, needs) in _different(mine, theirs).items():
                if fact in _SEARCHED:
                    word = _word(fact)
                    raise InputError(f"layer {theirs.name!r} has {word} {_text(needs)}, the space {_text(has)}")


def _differences(own: Outline, asked: Outline) -> tuple[str, ...]:
    """Every difference once, with the layers that have it, in the order of the network."""
    layers: dict[tuple[str, str, str], list[str]] = {}
    pairs = [(own.stem, asked.stem), *zip(own.body, asked.body, strict=True)]
    pairs += zip(own.tail, asked.tail, strict=True) if len(own.tail) == len(asked.tail) else ()
    for mine, theirs in pairs:
        for fact, (has, needs) in _different(mine, theirs).items():
            layers.setdefault((_word(fact), _text(needs), _text(has)), []).append(mine.name)
    found = [f"{fact}: {needs}, in the space {has} ({_listed(names)})" for (fact, needs, has), names in layers.items()]
    if len(own.tail) != len(asked.tail):
        found.append(f"layers behind the blocks: {_kinds(asked.tail)}, in the space {_kinds(own.tail)}")
    if own.input_shape != asked.input_shape:
        here, there = ("x".join(map(str, shape)) for shape in (own.input_shape, asked.input_shape))
        found.append(f"input size: {there}, in the space {here}")
    return tuple(found)


def _different(mine: LocatedLayer, theirs: LocatedLayer) -> dict[str, tuple[Any, Any]]:
    """By fact, what the first and the second layer have, where they differ; of another kind, only what both have."""
    one, two = _facts(mine), _facts(theirs)
    return {fact: (value, two[fact]) for fact, value in one.items() if fact in two and two[fact] != value}


def _facts(at: LocatedLayer) -> dict[str, Any]:
    """What a layer computes by: its fields, without those that change nothing where it stands."""
    layer = cast(Any, at.layer)
    facts = {"kind": type(layer).__name__, **{field.name: getattr(layer, field.name) for field in fields(layer)}}
    if isinstance(layer, (MBConv, ResidualConv)):
        keeps = layer.stride == 1 and at.input_shapes[0] == at.output_shape
        facts["residual"] = layer.residual and keeps
        facts["pool_shortcut"] = layer.pool_shortcut and facts["residual"]
    if isinstance(layer, MBConv):
        facts["expand_always"] = layer.expand_always and layer.expansion == 1
        if not layer.se_channels:
            del facts["se_activation"], facts["se_gate"]
    if isinstance(layer, Classifier) and not layer.hidden_channels:
        del facts["hidden_bias"], facts["activation"]
    return facts


def _word(fact: str) -> str:
    return _WORDS.get(fact, fact)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value) or "none"


def _listed(names: list[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _kinds(layers: tuple[LocatedLayer, ...]) -> str:
    return ", ".join(type(at.layer).__name__ for at in layers)
