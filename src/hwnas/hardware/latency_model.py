"""The latency model of one target: an additive price per layer, learnt from layers timed alone and whole networks.

What the price is made of is the model's kind (kinds.py), which is chosen where the model is built.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hwnas.core.cost import Cost, CostTerms
from hwnas.core.errors import FileFormatError, InputError, UnknownLayer, quoted
from hwnas.core.layers import Zero
from hwnas.core.network import LocatedLayer, NetworkSpec
from hwnas.core.protocols import PathSpace
from hwnas.hardware.calibration import Calibration, LayerTime, Observation, calibrate
from hwnas.hardware.fields import number, positive, rows, text, whole
from hwnas.hardware.kinds import KINDS
from hwnas.hardware.layers import additive_terms, network_id, priced_layers
from hwnas.hardware.quality import ModelQuality

FORMAT = "hwnas-latency-model@3"
# The first two have the same fields, files of the second are sealed; both are of kind "layers", the only one then.
_WITHOUT_KIND = ("hwnas-latency-model@1", "hwnas-latency-model@2")


@dataclass(frozen=True)
class LatencyModel:
    """Predicts the latency of a network on a target as a constant plus a price per layer.

    Args:
        target: name, for example "onnxruntime-f32".
        target_id: of the target key; every prediction carries it as its provenance.
        table: the layers timed alone, by `LocatedLayer.key`.
        observations: the whole networks that it is fitted on.
        held_out: ids of the networks that judge it; none of them is ever fitted.
        quality: figures on the held-out networks at the time of profiling.
        kind: one of KINDS: what a price is made of.
        errors_percent: by kind, the cross-validated error on the calibration networks, for which the kind was chosen.

    Raises:
        InputError: a held-out network is among the observations, the table is empty, or there is no such kind.
        UnknownLayer: an observed network has a layer of which the kind knows nothing.
    """

    target: str
    target_id: str
    table: Mapping[str, LayerTime]
    observations: tuple[Observation, ...]
    held_out: frozenset[str]
    quality: ModelQuality | None = None
    kind: str = "layers"
    errors_percent: Mapping[str, float] = field(default_factory=dict)
    _calibration: Calibration = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.table:
            raise InputError(f"a latency model of {quoted(self.target)} needs a table with at least one layer")
        for observation in self.observations:
            if observation.network in self.held_out:
                raise InputError(
                    f"network {quoted(observation.network)} is held out: it judges the latency model of "
                    f"{quoted(self.target)} and can never be fitted; choose another network"
                )
        if self.kind not in KINDS:
            raise InputError(f"a latency model's kind is one of {', '.join(KINDS)}, not {quoted(self.kind)}")
        with self._known():
            object.__setattr__(self, "_calibration", calibrate(KINDS[self.kind](self.table), self.observations))

    @property
    def unit(self) -> str:
        """Milliseconds."""
        return "ms"

    @property
    def constant_ms(self) -> float:
        """What every network costs besides its layers."""
        return self._calibration.constant_ms

    def price_ms(self, layer: LocatedLayer) -> float:
        """What one layer costs inside a network; 0 for Zero.

        Raises:
            UnknownLayer: the model knows nothing of such a layer; the nearest is named.
        """
        if isinstance(layer.layer, Zero):
            return 0.0
        with self._known():
            return float(self._calibration.prices_ms((layer.key,))[0])

    def cost(self, network: NetworkSpec) -> Cost:
        """The predicted latency of one network.

        Raises:
            UnknownLayer: the model knows nothing of one of its layers.
        """
        with self._known():
            value = self._calibration.predict(_layers(network))
        return Cost(value, self.unit, "model", self.target_id)

    def terms(self, space: PathSpace) -> CostTerms:
        """The same prediction as a sum over a space's choices; removed layers cost nothing.

        Raises:
            UnknownLayer: the table lacks one of the space's layers.
        """
        return additive_terms(space, self.constant_ms, self.price_ms)

    def is_held_out(self, network: NetworkSpec) -> bool:
        """Whether the network judges the model and so cannot be observed."""
        return network_id(network) in self.held_out

    def observed(self, network: NetworkSpec, measured_ms: float) -> LatencyModel:
        """The model refitted with one more whole network.

        Args:
            network: not held out.
            measured_ms: its measured latency, above zero.

        Raises:
            InputError: the network is held out, or the latency is not a positive number.
            UnknownLayer: the table lacks one of its layers.
        """
        return self._with(replace(observation(network, measured_ms), later=True))

    def anchored(self, network: NetworkSpec, measured_ms: float) -> LatencyModel:
        """The model refitted after a network missed its budget, and never again too low for that network.

        Where the fit alone still predicts less than was measured, the whole model is scaled until it does not. So one
        miss heals an error that all networks share, such as a processor that has become slower since profiling.

        Args:
            network: not held out.
            measured_ms: its measured latency, above zero.

        Raises:
            InputError: the network is held out, or the latency is not a positive number.
            UnknownLayer: the table lacks one of its layers.
        """
        return self._with(replace(observation(network, measured_ms), later=True, missed=True))

    def _with(self, row: Observation) -> LatencyModel:
        return replace(self, observations=(*self.observations, row))

    @contextmanager
    def _known(self) -> Iterator[None]:
        """What a prior does not know is an UnknownLayer."""
        try:
            yield
        except KeyError as missing:
            raise UnknownLayer(str(missing.args[0]), self.target, self.table) from None

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values; `from_json` is its inverse."""
        return {
            "format": FORMAT,
            "target": self.target,
            "target_id": self.target_id,
            "kind": self.kind,
            "errors_percent": dict(self.errors_percent),
            "layers": {key: asdict(row) for key, row in self.table.items()},
            "observations": [{**asdict(row), "layers": dict(row.layers)} for row in self.observations],
            "held_out": sorted(self.held_out),
            "quality": self.quality.to_json() if self.quality else None,
        }

    @staticmethod
    def from_json(data: Any) -> LatencyModel:
        """Reads what `to_json` wrote.

        Raises:
            FileFormatError: another format, or a field is missing or wrong; the message names it.
            InputError: a held-out network is among the observations.
        """
        if not isinstance(data, Mapping) or data.get("format") not in (FORMAT, *_WITHOUT_KIND):
            found = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise FileFormatError(f"expected a latency model in format {FORMAT!r}, found {quoted(found)}")
        try:
            table = {
                key: LayerTime(positive(row["isolated_ms"]), whole(row["edge_values"]))
                for key, row in data["layers"].items()
            }
            observations = tuple(_observation(row) for row in rows(data["observations"]))
            held_out = frozenset(text(name) for name in rows(data["held_out"]))
            quality = None if data["quality"] is None else ModelQuality.from_json(data["quality"])
            target, target_id = text(data["target"]), text(data["target_id"])
            kind, errors = "layers", {}
            if data["format"] not in _WITHOUT_KIND:
                kind = text(data["kind"])
                errors = {text(name): number(error) for name, error in data["errors_percent"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as reason:
            raise FileFormatError(f"latency model: a field is missing or wrong ({reason!r})") from None
        return LatencyModel(target, target_id, table, observations, held_out, quality, kind, errors)


def observation(network: NetworkSpec, measured_ms: float) -> Observation:
    """A network measured while profiling, as the calibration reads it.

    Raises:
        InputError: the latency is not a positive number.
    """
    try:
        positive(measured_ms)
    except ValueError as reason:
        raise InputError(f"a latency model learns from latencies in ms above zero: {reason}") from None
    return Observation(network_id(network), _layers(network), measured_ms)


def _layers(network: NetworkSpec) -> dict[str, int]:
    """How often it has each layer."""
    return dict(Counter(layer.key for layer in priced_layers(network)))


def _observation(row: Any) -> Observation:
    layers = {text(key): whole(count) for key, count in row["layers"].items()}
    return Observation(
        text(row["network"]), layers, positive(row["measured_ms"]), row["later"] is True, row["missed"] is True
    )
