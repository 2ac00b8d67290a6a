"""Whatever is wrong with a foreign file: one typed error, short, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from foreign_files import arch_def_file, mobilenet_v3_file, proxyless_file
from mutations import ODD_VALUES, places

from hwnas.core.counting import count
from hwnas.core.errors import FileFormatError, HwnasError, InputError
from hwnas.core.graphs import array_shapes
from hwnas.core.network import NetworkSpec, lower
from hwnas.networks.foreign import is_foreign, read_foreign

FILES: dict[str, Callable[[], dict[str, Any]]] = {
    "proxyless": proxyless_file,
    "mobilenet v3": mobilenet_v3_file,
    "arch_def": arch_def_file,
}
# What a file may lack: their code has a default for it.
MAY_LACK = {
    "momentum", "ws_eps", "mid_channels", "act_func", "use_se", "dilation", "groups", "bias", "has_shuffle", "use_bn",
    "dropout_rate", "ops_order", "resolution",
}  # fmt: skip


def changed(document: Any, place: tuple[Any, ...], value: Any = None, drop: bool = False) -> Any:
    """The document with one value replaced or dropped; what lies beside the way there is shared, not copied."""
    if not place:
        return value
    key, *rest = place
    copied = dict(document) if isinstance(document, dict) else list(document)
    if drop and not rest:
        del copied[key]
    else:
        copied[key] = changed(document[key], tuple(rest), value, drop) if rest else value
    return copied


def check(document: Any) -> bool:
    """Whether it is read; then it is a whole network, and its names are those of its arrays."""
    is_foreign(document)
    try:
        found = read_foreign(document)
    except HwnasError as reason:
        said = str(reason)
        assert isinstance(reason, InputError) and said and len(said) < 1_000 and "\n" not in said
        return False
    assert NetworkSpec.from_json(found.network.to_json()) == found.network
    assert count(found.network).params > 0
    assert set(found.weight_names) == set(array_shapes(lower(found.network)))
    return True


@pytest.mark.parametrize("name", FILES)
def test_every_value_replaced(name: str) -> None:
    document = FILES[name]()
    known = places(document)
    assert check(document) and len(known) > 25
    for index, place in enumerate(known):
        if place[:1] == ("blocks",) and place[1:] and place[1] in (3, 5, 6):
            continue  # like the ones before them
        for odd in ODD_VALUES[index % 3 :: 3]:  # the fuzz tries them all
            check(changed(document, place, odd))


@pytest.mark.parametrize("name", ["proxyless", "mobilenet v3"])
def test_every_field_removed(name: str) -> None:
    document = FILES[name]()
    for place in places(document):
        if place and isinstance(place[-1], str):
            without = changed(document, place, drop=True)
            if place[-1] in MAY_LACK or place[:2] == ("blocks", 4):  # a removed block
                check(without)
                continue
            with pytest.raises(FileFormatError) as error:
                read_foreign(without)
            dotted = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")
            # A network's kind is told by its name, a block's by which of two fields it has.
            assert f"field '{dotted}' is missing" in str(error.value) or place == ("name",)


@pytest.mark.parametrize("name", FILES)
def test_every_field_and_every_block_added_twice(name: str) -> None:
    document = FILES[name]()
    for place in places(document):
        value: Any = document
        for key in place:
            value = value[key]
        if isinstance(value, dict):
            assert not check(changed(document, (*place, "surprise"), 1))
        if isinstance(value, list) and value:
            check(changed(document, place, [*value, copy.deepcopy(value[-1])]))
            check(changed(document, place, value[:-1]))


def test_bombs() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    for document in (deep, {"arch_def": deep}, {"name": "ProxylessNASNets", "blocks": deep}, {"name": deep}):
        assert not check(document)
    many = proxyless_file()
    many["blocks"] = many["blocks"] * 100_000
    assert not check(many)
    wide = proxyless_file()
    wide["feature_mix_layer"]["out_channels"] = wide["classifier"]["in_features"] = 2**16
    wide["classifier"]["out_features"] = 2**16
    with pytest.raises(InputError, match="hold more than 268,435,456 values"):
        read_foreign(wide)
    assert not check([["ir_r1000_k3_s1_e100_c65536"]] * 1000)
    assert not check([["ir_r1_k3_s1_e100_c65536"]])
    assert not check([["x" * 10**6]]) and not check([["ir" + "_r1" * 10**5]])
