"""A linear model with a row for each position of a fixed skeleton: TuNAS's Pixel-1 cost model.

Source: Bender et al. 2020, "Can weight sharing outperform random architecture search? An investigation with TuNAS", and
its released code (github.com/google-research/google-research, tunas/, Apache-2.0): cost = bias + a weight for each
decision, fitted to measurements. Only sums mean anything: a weight may be below zero, and a removed layer's is not 0.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import product
from typing import Any

from hwnas.core.cost import Cost
from hwnas.core.errors import FileFormatError, UnknownLayer, fields_of, quoted, said_of
from hwnas.core.layers import Classifier, ConvBnAct, LayerSpec, MBConv
from hwnas.core.network import LocatedLayer, NetworkSpec, located_layers
from hwnas.core.primitives import Shape
from hwnas.hardware.fields import number, text
from hwnas.hardware.sealed import checksum
from hwnas.hardware.tables.keys import KeyForm, keys_of
from hwnas.hardware.tables.prices import NetworkPrices

FORMAT = "hwnas-position-table@1"
SHIPPED = ("pixel1-tunas",)

# The skeleton of TuNAS's `proxylessnas_search` space; what is fixed in it is in the bias. Without the class for the
# background that its authors count, the scores of ImageNet are 1,000.
_IMAGES: Shape = (3, 224, 224)
_STEM, _FIRST, _HEAD, _CLASSES = 32, 16, 1280, (1000, 1001)
_STAGES = ((32, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))  # width, stride of the first of up to four layers
_KERNELS, _EXPANSIONS = (3, 5, 7), (3, 6)
_IN_THE_BIAS = dict.fromkeys(("stem", "head", "classifier"), 0.0)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a layer may stand in the skeleton.

    Args:
        place: "sepconv", "stage1" to "stage6", or "" for what is fixed.
        option: which one it is there: "k3" to "k7", "k3e3" to "k7e6", or "stem", "head", "classifier".
    """

    place: str
    option: str


@dataclass(frozen=True)
class PositionTable:
    """A latency model of one space: bias + a row for each position. It is a CostModel.

    A NetworkSpec holds no removed layers, so those of a stage count as its last ones, wherever they were. The rows of a
    stage's later positions differ by at most 0.013 ms; `terms_by_position` is exact.

    Args:
        name: by which it is a target.
        device: what it was measured on, in words.
        source: where it comes from.
        licence: what its source states.
        bias_ms: of every network, with all that is fixed in it.
        sepconv: ms by kernel of the first block, "k3", "k5" and "k7".
        stages: by position ("stage1.block0"), ms by option: "k3e3" and so on, "zero" where a layer may be removed.
    """

    name: str
    device: str
    source: str
    licence: str
    bias_ms: float
    sepconv: Mapping[str, float]
    stages: Mapping[str, Mapping[str, float]]

    @property
    def unit(self) -> str:
        """Milliseconds."""
        return "ms"

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that are equal exactly for tables that price alike."""
        return checksum([self.bias_ms, self.sepconv, self.stages])[:12]

    @property
    def text(self) -> str:
        """One sentence for a list."""
        return f"{self.device}: linear model of TuNAS's ProxylessNAS space, {1 + len(self.stages)} positions"

    def cost(self, network: NetworkSpec) -> Cost:
        """The latency of a network of the space; its provenance is the table's name and id.

        Raises:
            UnknownLayer: the network is none of the space; names its first layer that is not, and the nearest.
        """
        return self.prices(network).cost(network)

    def prices(self, network: NetworkSpec) -> NetworkPrices:
        """The same layer by layer, a LayerCostModel of this network; what is removed is in the constant.

        Raises:
            UnknownLayer: the network is none of the space.
        """
        by_node: dict[str, float] = {}
        layers: Counter[str] = Counter()  # so far, by stage
        site = None
        for layer in _chain(network, self.name):
            site = self._site(layer)
            place = site.place
            if place.startswith("stage"):
                place = f"{place}.block{layers[place]}"
                layers[site.place] += 1
            by_node[layer.name] = self._row(place, layer)[site.option]
        if site != Site("", "classifier"):
            with said_of("the network's end"):
                raise UnknownLayer("no layer", self.name, keys_of(_classifier(_CLASSES[0]), KeyForm.PROXYLESSNAS))
        removed = [
            rows["zero"] for place, rows in self.stages.items()
            if int(place.partition(".block")[2]) >= layers[place.partition(".")[0]]
        ]  # fmt: skip
        constant_ms = self.bias_ms + sum(removed)
        return NetworkPrices(self.name, f"{self.name}@{self.id}", network, constant_ms, by_node)

    def terms_by_position(self) -> tuple[float, dict[str, dict[str, float]]]:
        """The model itself: bias, and ms by position and option; cost = bias + one value of each position.

        Positions are "sepconv" (the first block; options "k3", "k5", "k7") and "stage1.block0" to "stage6.block0"
        ("k3e3" and so on, "zero" where a layer may be removed).
        """
        return self.bias_ms, {"sepconv": dict(self.sepconv)} | {place: dict(row) for place, row in self.stages.items()}

    def _site(self, layer: LocatedLayer) -> Site:
        keys = keys_of(layer, KeyForm.PROXYLESSNAS)
        if len(keys) != 1 or keys[0] not in _SITES:
            with said_of(layer.name):
                raise UnknownLayer(keys[0] if keys else type(layer.layer).__name__, self.name, _SITES)
        return _SITES[keys[0]]

    def _row(self, place: str, layer: LocatedLayer) -> Mapping[str, float]:
        rows = {"": _IN_THE_BIAS, "sepconv": self.sepconv, **self.stages}
        if place not in rows:  # one layer too many
            with said_of(layer.name):
                raise UnknownLayer(place, self.name, rows)
        return rows[place]


def shipped_table(name: str) -> PositionTable:
    """A table that comes with the package, one of SHIPPED."""
    data = json.loads((files("hwnas.hardware.tables") / f"{name}.json").read_text(encoding="utf-8"))
    return position_table(data)


def position_table(data: Any) -> PositionTable:
    """Reads a table of positions in our own format.

    Raises:
        FileFormatError: another format, or a field is missing or wrong.
    """
    with fields_of("table of positions"):
        if data["format"] != FORMAT or data["unit"] != "ms":
            raise FileFormatError(
                f"expected {FORMAT!r} in ms, found {quoted(data['format'])} in {quoted(data['unit'])}"
            )
        return PositionTable(
            text(data["name"]),
            text(data["device"]),
            text(data["source"]),
            text(data["licence"]),
            number(data["bias_ms"]),
            {option: number(ms) for option, ms in data["sepconv"].items()},
            {place: {option: number(ms) for option, ms in row.items()} for place, row in data["stages"].items()},
        )


def _chain(network: NetworkSpec, table: str) -> Iterator[LocatedLayer]:
    """The layers of a network in which each reads the one before."""
    before = "input"
    for node, layer in zip(network.nodes, located_layers(network), strict=True):
        if node.inputs not in ((), (before,)):
            with said_of(node.name):
                raise UnknownLayer(f"{type(node.layer).__name__} that reads {quoted(node.inputs)}", table, _SITES)
        before = node.name
        yield layer


def _sites() -> Iterator[tuple[LocatedLayer, Site]]:
    """Every layer of the skeleton with where it stands."""
    side = _IMAGES[1] // 2
    yield _located(ConvBnAct(_STEM, 3, 2), _IMAGES, side), Site("", "stem")
    for kernel in _KERNELS:
        first = MBConv(_FIRST, kernel, 1, residual=False)
        yield _located(first, (_STEM, side, side), side), Site("sepconv", f"k{kernel}")
    before = _FIRST
    for number_of, (width, stride) in enumerate(_STAGES, start=1):
        after = side // stride
        for kernel, expansion in product(_KERNELS, _EXPANSIONS):
            option, stage = f"k{kernel}e{expansion}", f"stage{number_of}"
            leading = MBConv(width, kernel, expansion, stride)
            yield _located(leading, (before, side, side), after), Site(stage, option)
            yield _located(MBConv(width, kernel, expansion), (width, after, after), after), Site(stage, option)
        before, side = width, after
    yield _located(ConvBnAct(_HEAD, 1), (before, side, side), side), Site("", "head")
    for classes in _CLASSES:
        yield _classifier(classes), Site("", "classifier")


def _classifier(classes: int) -> LocatedLayer:
    return LocatedLayer("", Classifier(classes), ((_HEAD, 7, 7),), (classes,))


def _located(layer: Any, before: Shape, side: int) -> LocatedLayer:
    spec: LayerSpec = layer
    return LocatedLayer("", spec, (before,), (layer.out_channels, side, side))


_SITES = {key: site for layer, site in _sites() for key in keys_of(layer, KeyForm.PROXYLESSNAS)}
