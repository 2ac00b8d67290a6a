"""Messages: the nearest name, and nothing endless."""

from __future__ import annotations

import pytest

from hwnas.core.errors import UnknownLayer, UnknownName


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ("MnasNet-A1", "mnasnet-a1"),  # however it is written
        ("proxyles", "proxyless-small"),  # what was begun, before what is alike
        ("ofa-proxyles", "ofa-proxyless"),
    ],
)
def test_the_nearest_name_is_offered(asked: str, offered: str) -> None:
    names = ("mnasnet-a1", "mnasnet-b1", "ofa-proxyless", "proxyless-small")
    assert f"did you mean {offered!r}?" in str(UnknownName("network", asked, names))


def test_an_unknown_layer_is_said_in_a_few_lines() -> None:
    said = str(UnknownLayer("Conv-input:1", "pixel1", ["Conv-input:2", "Logits"]))
    assert said == "latency table 'pixel1' has no entry for layer 'Conv-input:1'; the nearest entry is 'Conv-input:2'"
    assert len(str(UnknownLayer("x" * 20_000, "y" * 20_000, ["x" * 19_999]))) < 2_000
