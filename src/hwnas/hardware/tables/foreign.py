"""Tables as ProxylessNAS and Once-for-All published them: one file for each size of images, rows of mean latencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from hwnas.core.errors import FileFormatError, InputError, quoted, said_of
from hwnas.hardware.fields import number, positive, whole
from hwnas.hardware.tables.keys import KeyForm, form_of_key, images_of_key
from hwnas.hardware.tables.layer_table import LayerTable, Row, check_rows, rows_id

_FIELDS = ({"mean", "count", "std"}, {"mean", "count", "var"})  # Once-for-All's, ProxylessNAS's


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """One file of a published table.

    Args:
        where: its path, for messages.
        source: its name and digest, to be kept.
        data: its content: rows by key.
    """

    where: str
    source: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Publication:
    """A published table that does not come with the package.

    Args:
        device: what it was measured on.
        repository: where its files lie.
        files: their paths there.
        ids: `rows_id` of each file, by the images that it is for.
    """

    device: str
    repository: str
    files: tuple[str, ...]
    ids: Mapping[str, str]


# The repository states no licence, so these are imported. The ids are of its files as they were in 2026.
PUBLICATIONS = {
    "pixel1": Publication(
        "Google Pixel 1, TF-Lite, batch 1",
        "github.com/han-cai/files",
        ("proxylessnas/mobile_trim.yaml",),
        {"224x224": "8654fc1347e5"},
    ),
    "note10": Publication(
        "Samsung Galaxy Note10",
        "github.com/han-cai/files",
        tuple(f"ofa/note10/{side}_lookup_table.yaml" for side in (160, 176, 192, 208, 224)),
        {
            "160x160": "6b9a152b67c8",
            "176x176": "d1e72af7ade7",
            "192x192": "cc298be372cf",
            "208x208": "3ad9bb7a6494",
            "224x224": "6dd7db1930f3",
        },
    ),
}


def open_foreign(name: str, files: Sequence[ForeignFile], device: str = "") -> LayerTable:
    """A table from the files of one publisher.

    Args:
        name: by which it will be a target.
        files: each for images of another size.
        device: what it was measured on, in words; "" for what is known of a published table.

    Raises:
        FileFormatError: a file holds anything that is not understood; names file and row.
        InputError: two files are for the same images, or in different forms.
    """
    rows: dict[str, dict[str, Row]] = {}
    forms: dict[str, KeyForm] = {}
    for file in files:
        with said_of(file.where):
            form, size, own = _rows(file.data)
        if size in rows:
            raise InputError(f"{file.where} and a file before it are both for images of {size}: give one for each size")
        rows[size], forms[file.where] = own, form
    if len(set(forms.values())) != 1:
        said = ", ".join(f"{where} is in {form.value}'s" for where, form in forms.items())
        raise InputError(f"the files of one table have keys of one form; {said or 'there is no file'}")
    ordered = {size: rows[size] for size in sorted(rows, key=lambda size: [int(side) for side in size.split("x")])}
    source = ", ".join(file.source for file in files)
    for known in PUBLICATIONS.values():
        if all(known.ids.get(size) == rows_id(own) for size, own in ordered.items()):
            device, source = device or known.device, f"{known.repository}: {source}"
    return LayerTable(name, next(iter(forms.values())), device, source, "", ordered)


def _rows(data: Mapping[str, Any]) -> tuple[KeyForm, str, dict[str, Row]]:
    """The form of a file's keys, the images that it is for, and its rows."""
    forms: dict[KeyForm, str] = {}
    sizes: dict[str, str] = {}
    rows: dict[str, Row] = {}
    for key, value in data.items():
        try:
            form, size = form_of_key(key), images_of_key(key)
            rows[key] = _row(value)
        except ValueError as reason:
            raise FileFormatError(f"row {quoted(key)}: {reason}") from None
        if form:
            forms.setdefault(form, key)
        if size:
            sizes.setdefault(size, key)
    if len(forms) != 1:
        said = " and ".join(f"{form.value}'s, such as {quoted(key)}" for form, key in forms.items())
        raise FileFormatError(f"expected rows 'expanded_conv-…' of one form, found {said or 'none'}")
    if len(sizes) != 1:
        said = " and ".join(map(quoted, sizes.values()))
        raise FileFormatError(f"expected rows 'Conv-input:…' for images of one size, found {said or 'none'}")
    (form,), (size,) = forms, sizes
    check_rows(rows, form, size)
    return form, size, rows


def _row(value: Any) -> Row:
    if not isinstance(value, Mapping) or "mean" not in value:
        raise ValueError(f"expected mean, count and std or var, found {quoted(value)}")
    if all(set(value) - fields for fields in _FIELDS):
        raise ValueError(f"expected mean, count and std or var, found {quoted(list(value))}")
    count, std, var = value.get("count"), value.get("std"), value.get("var")
    spread = std if std is not None else var
    if spread is not None and number(spread) < 0:
        raise ValueError(f"{quoted(spread)} is below zero")
    std_ms = None if spread is None else float(spread) if std is not None else sqrt(spread)
    return Row(positive(value["mean"]), None if count is None else whole(count), std_ms)
