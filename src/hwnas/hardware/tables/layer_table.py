"""A table with a row for each layer, by the size of the images: ProxylessNAS's and Once-for-All's kind.

A network's latency is the sum of its layers' rows, nothing else: what runs between layers is not in such a table.

Source: Cai, Zhu, Han 2019, ProxylessNAS, section 3.2.2 (the latency of a network is the sum over its layers).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hwnas.core.cost import Cost, CostTerms
from hwnas.core.errors import FileFormatError, UnknownLayer, fields_of, quoted, said_of
from hwnas.core.network import LocatedLayer, NetworkSpec, located_layers
from hwnas.core.primitives import Shape
from hwnas.core.protocols import PathSpace
from hwnas.hardware.fields import number, positive, text, whole
from hwnas.hardware.layers import additive_terms
from hwnas.hardware.sealed import checksum
from hwnas.hardware.tables.keys import KeyForm, form_of_key, images, images_of_key, keys_of
from hwnas.hardware.tables.prices import NetworkPrices


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Args:
        ms: mean of its measurements, above zero.
        count: how many they were; None where the table does not say.
        std_ms: their standard deviation; None where the table does not say.
    """

    ms: float
    count: int | None = None
    std_ms: float | None = None


@dataclass(frozen=True)
class LayerTable:
    """A published latency table: rows by key, for each size of images. It is an AdditiveCostModel.

    Args:
        name: by which it is a target, for example "note10".
        form: of its keys.
        device: what it was measured on, in words; "" where nobody said.
        source: where it comes from.
        licence: what its source states; "" for nothing.
        rows: by images ("224x224"), then by key. The same key may cost something else for other images.
    """

    name: str
    form: KeyForm
    device: str
    source: str
    licence: str
    rows: Mapping[str, Mapping[str, Row]]

    @property
    def unit(self) -> str:
        """Milliseconds."""
        return "ms"

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that are equal exactly for tables that price alike."""
        return checksum({size: rows_id(rows) for size, rows in self.rows.items()})[:12]

    @property
    def text(self) -> str:
        """One sentence for a list."""
        sizes, count = ", ".join(self.rows), sum(map(len, self.rows.values()))
        return f"{self.device or 'a device that nobody named'}: imported table, {count:,} layers, images of {sizes}"

    def cost(self, network: NetworkSpec) -> Cost:
        """The sum of the rows of a network's layers; its provenance is the table's name and id.

        Raises:
            UnknownLayer: the table lacks a layer, or has none for such images; names layer, table and nearest entry.
        """
        return self.prices(network).cost(network)

    def prices(self, network: NetworkSpec) -> NetworkPrices:
        """The same layer by layer: a LayerCostModel of this network.

        Raises:
            UnknownLayer: the table lacks a layer, or has none for such images.
        """
        by_node = {layer.name: self.price_ms(layer, network.input_shape) for layer in located_layers(network)}
        return NetworkPrices(self.name, f"{self.name}@{self.id}", network, 0.0, by_node)

    def price_ms(self, layer: LocatedLayer, input_shape: Shape) -> float:
        """What one layer costs in a network for such images; 0 for Zero.

        Args:
            layer: where it stands.
            input_shape: (channels, height, width) of the network's images.

        Raises:
            UnknownLayer: the table lacks it.
        """
        rows = self.rows.get(images(input_shape), {})
        total = 0.0
        with said_of(layer.name):
            for key in keys_of(layer, self.form):
                if key not in rows:
                    raise UnknownLayer(key, self.name, rows or self._first_convolutions())
                total += rows[key].ms
        return total

    def terms(self, space: PathSpace) -> CostTerms:
        """The cost as a sum over a space's choices: constant + Σ by_choice[choice][option] = cost(decode(arch)).

        Raises:
            UnknownLayer: the table lacks one of the space's layers.
        """
        return additive_terms(space, 0.0, lambda layer: self.price_ms(layer, space.input_shape))

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` is its inverse."""
        return {
            "name": self.name,
            "unit": self.unit,
            "device": self.device,
            "source": self.source,
            "licence": self.licence,
            "keys": self.form.value,
            "rows": {size: {key: _row_to_json(row) for key, row in rows.items()} for size, rows in self.rows.items()},
        }

    @staticmethod
    def from_json(data: Any) -> LayerTable:
        """Reads what `to_json` wrote.

        Raises:
            FileFormatError: a field is missing or wrong.
        """
        with fields_of("latency table"):
            table = LayerTable(
                text(data["name"]),
                KeyForm(data["keys"]),
                _any_text(data["device"]),
                text(data["source"]),
                _any_text(data["licence"]),
                {size: {key: _row(row) for key, row in rows.items()} for size, rows in data["rows"].items()},
            )
            if data["unit"] != table.unit or not table.rows:
                raise ValueError("it has no rows in ms")
        for size, rows in table.rows.items():
            with said_of(f"latency table {quoted(table.name)}"):
                check_rows(rows, table.form, size)
        return table

    def _first_convolutions(self) -> list[str]:
        """Where the images are of another size, the nearest entry is the one of a first convolution."""
        return [key for rows in self.rows.values() for key in rows if images_of_key(key)]


def rows_id(rows: Mapping[str, Row]) -> str:
    """Twelve hexadecimal digits that are equal exactly for rows that price alike."""
    return checksum({key: row.ms for key, row in rows.items()})[:12]


def check_rows(rows: Mapping[str, Row], form: KeyForm, size: str) -> None:
    """Refuses rows that do not belong together.

    Raises:
        FileFormatError: a key is of no form or of another one, or of a first convolution for other images.
    """
    for key in rows:
        try:
            if form_of_key(key) not in (None, form):
                raise ValueError(f"it is in another form than that of {form.value}")
            if images_of_key(key) not in (None, size):
                raise ValueError(f"it is for other images than {size}")
        except ValueError as reason:
            raise FileFormatError(f"row {quoted(key)}: {reason}") from None


def _row(data: Any) -> Row:
    count, std_ms = data.get("count"), data.get("std_ms")
    return Row(
        positive(data["ms"]), None if count is None else whole(count), None if std_ms is None else number(std_ms)
    )


def _row_to_json(row: Row) -> dict[str, Any]:
    found = {"ms": row.ms, "count": row.count, "std_ms": row.std_ms}
    return {name: value for name, value in found.items() if value is not None}


def _any_text(value: Any) -> str:
    return "" if value == "" else text(value)
