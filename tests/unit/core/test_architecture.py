"""Architecture: identity and damaged files."""

from __future__ import annotations

from typing import Any

import pytest

from hwnas.core.architecture import Architecture
from hwnas.core.errors import FileFormatError

ARCH = Architecture("toy@1", (("conv1", "k3"), ("depth", 2)))


def test_ids_are_twelve_hexadecimal_digits_and_depend_on_everything() -> None:
    others = [
        Architecture("toy@2", ARCH.choices),
        Architecture("toy@1", (("conv1", "k5"), ("depth", 2))),
        Architecture("toy@1", (("conv1", "k3"), ("depth", "2"))),
        Architecture("toy@1", (("conv1", "k3"),)),
    ]
    assert len(ARCH.id) == 12 and int(ARCH.id, 16) >= 0
    assert len({ARCH.id, *(other.id for other in others)}) == 5
    # A file written today must be found under the same id tomorrow.
    assert ARCH.id == "85e9ae0eb5f6"


def test_options_by_name() -> None:
    assert ARCH["depth"] == 2
    with pytest.raises(KeyError, match="conv9"):
        ARCH["conv9"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "NoneType"),
        ([], "list"),
        ({}, "'space'"),
        ({"space": 3, "choices": {}}, "'space'"),
        ({"space": "toy@1"}, "'choices'"),
        ({"space": "toy@1", "choices": ["k3"]}, "'choices'"),
        ({"space": "toy@1", "choices": {"conv1": True}}, "'conv1'"),
        ({"space": "toy@1", "choices": {"conv1": 1.5}}, "'conv1'"),
        ({"space": "toy@1", "choices": {"conv1": None}}, "'conv1'"),
    ],
)
def test_damaged_files_name_the_field(data: Any, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        Architecture.from_json(data)
