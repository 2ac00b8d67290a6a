"""NAS-Bench-Macro: every row of the benchmark, and the canonical form that makes 6,561 rows 3,969 networks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hwnas.core.counting import Counts, count
from hwnas.core.errors import InputError
from hwnas.core.layers import ConvBnAct
from hwnas.spaces.macro import MacroSpace, macro_space

SPACE = MacroSpace()


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> dict[str, Any]:
    path = shared_data / "nas-bench-macro" / "nas-bench-macro_cifar10.json"
    if not path.exists():
        pytest.skip(f"no {path}: set HWNAS_DATA to a folder with nas-bench-macro/nas-bench-macro_cifar10.json")
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def check(rows: dict[str, Any], digits: Iterable[str]) -> dict[str, Counts]:
    """The counts by id; each network is counted once, so that rows of equal networks must agree."""
    counted: dict[str, Counts] = {}
    for row in digits:
        arch = SPACE.of_digits(row)
        if arch.id not in counted:
            counted[arch.id] = count(SPACE.decode(arch))
        counts = counted[arch.id]
        assert (counts.params, counts.macs) == (rows[row]["params"], rows[row]["flops"]), row
    return counted


def test_some_rows_of_the_benchmark(rows: dict[str, Any]) -> None:
    check(rows, [*sorted(rows)[::137], "00000000", "11111111", "22222222", "02012100"])


@pytest.mark.slow
def test_every_row_of_the_benchmark(rows: dict[str, Any]) -> None:
    assert len(rows) == 6_561
    assert len(check(rows, rows)) == 3_969


def test_sizes() -> None:
    assert SPACE.choices.size_with_inactive() == 6_561
    assert SPACE.choices.size() == 3 * 3 * (3 * 7) ** 2 == 3_969


def test_rows_are_one_network_exactly_where_their_nodes_are() -> None:
    digits = [SPACE.encoding(arch) for arch in SPACE.choices.enumerate()]
    assert len(set(digits)) == 3_969
    assert all(row[block : block + 2] != "0" + kept for row in digits for block in (3, 6) for kept in "12")
    networks = {tuple(node.layer for node in SPACE.decode(arch).nodes) for arch in SPACE.choices.enumerate()}
    assert len(networks) == 3_969


@pytest.mark.parametrize(
    ("digits", "canonical"),
    [("00000000", "00000000"), ("11101101", "11110110"), ("22002002", "22020020"), ("12102210", "12120210")],
)
def test_removed_layers_stand_last_among_equal_places(digits: str, canonical: str) -> None:
    assert SPACE.encoding(SPACE.of_digits(digits)) == canonical


def test_identity_where_shapes_change_is_a_convolution() -> None:
    nodes = SPACE.decode(SPACE.of_digits("00000000")).nodes
    assert [node.name for node in nodes] == [
        "stem", "stage1.block0", "stage2.block0", "stage3.block0", "head", "classifier",
    ]  # fmt: skip
    assert nodes[1].layer == ConvBnAct(64, 1, 2, activation="")


@pytest.mark.parametrize("digits", ["", "0000000", "000000003", "0000000x", "03000000"])
def test_digits_that_are_no_row(digits: str) -> None:
    with pytest.raises(InputError, match="eight digits from 0 to 2"):
        SPACE.of_digits(digits)


def test_images_that_are_too_small() -> None:
    with pytest.raises(InputError, match="8-fold.*--resolution 16"):
        macro_space((3, 15, 32), 10)
    assert macro_space((1, 16, 16), 2, 0.5).choices.name == "macro-w0.5@1"
