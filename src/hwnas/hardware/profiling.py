"""Builds the latency model of a space on a target: layers, networks, the kind, and a verdict on networks it never saw.

Where the layers of a space are few, each is timed alone. A space that searches widths has thousands: a part of them is
timed, and more whole networks, and the price of a layer follows from what it does. Which kind of model is taken is
decided by the error on the calibration networks, each left out in turn (kinds.py); the held-out ones decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from hwnas.core.counting import count
from hwnas.core.errors import InputError
from hwnas.core.network import LocatedLayer, NetworkSpec
from hwnas.core.protocols import Progress, SearchSpace, Silence
from hwnas.core.seeds import rng_for, seed_for
from hwnas.hardware.calibration import LayerTime
from hwnas.hardware.engines import open_engine
from hwnas.hardware.features import features_by_key
from hwnas.hardware.kinds import cross_validated
from hwnas.hardware.latency_model import LatencyModel, observation
from hwnas.hardware.layers import alone, distinct_layers, edge_values, network_id, priced_layers
from hwnas.hardware.model_files import ModelFile, untrained
from hwnas.hardware.quality import Point, assess
from hwnas.hardware.reference import REFERENCE, reference_ms
from hwnas.hardware.sessions import Plan, Timer, WorkerTimer, default_rounds
from hwnas.hardware.store import LayerLatency, TargetStore
from hwnas.hardware.targets import Target
from hwnas.hardware.timing import Measurement, measure, run_sessions

MOST_LAYERS = 150  # that are all timed; a space of fixed widths has about 100
SOME_LAYERS = 200  # that are timed where there are more
CALIBRATION = 12  # spread networks; fewer leave the shared corrections unsure, more bring little
CALIBRATION_BY_FEATURES = 40  # where not every layer is timed: networks alone say what is dear only beside others
HELD_OUT = 12
NETWORK_SESSIONS = 3
LAYER_SESSIONS = 2


def profile(
    target: Target, space: SearchSpace, store: TargetStore, *, seed: int = 0, calibration: int | None = None,
    held_out: int = HELD_OUT, timer: Timer | None = None, progress: Progress | None = None,
) -> LatencyModel:  # fmt: skip
    """Builds and judges the latency model of a space on a target.

    Args:
        target: where; its input shape is the space's.
        space: whose layers and networks are measured; all of its networks are for images of one size.
        store: keeps the layers' latencies, so that later profiles on the same target key measure only new layers.
        seed: draws the networks.
        calibration: how many whole networks it is fitted on, at least 2; None for what the space needs.
        held_out: how many it is judged on, at least 2; drawn first, stored in the model, excluded from every fit.
        timer: runs the sessions; None for worker processes.
        progress: told about every session.

    Raises:
        InputError: the space has too few different networks, or networks for images of several sizes.
        EvaluationFailed: a session crashed or hung.
        TargetUnavailable: the engine is not installed.
    """
    timer, progress = timer or WorkerTimer(), progress or Silence()
    layers = distinct_layers(space, MOST_LAYERS)
    if calibration is None:
        calibration = CALIBRATION if layers else CALIBRATION_BY_FEATURES
    judges, fitted = draw_networks(space, held_out, calibration, seed)
    model = build(target, layers, store, fitted, judges, seed=seed, timer=timer, progress=progress)
    return judge(model, target, store, fitted, judges, seed=seed, timer=timer, progress=progress)


def draw_networks(
    space: SearchSpace, held_out: int, calibration: int, seed: int
) -> tuple[tuple[NetworkSpec, ...], tuple[NetworkSpec, ...]]:
    """The held-out networks, drawn first, and the calibration networks; all different as networks, names aside.

    Args:
        space: drawn from with `sample_spread`: on networks of nearly equal latency no model can be fitted or judged.
        held_out: at least 2.
        calibration: at least 2.
        seed: equal seeds draw equal networks; how many are drawn for calibration does not change the held-out ones.

    Raises:
        InputError: the space has too few different networks.
    """
    if held_out < 2 or calibration < 2:
        raise InputError(f"a profile needs 2 held-out and 2 calibration networks, not {held_out} and {calibration}")
    seen: set[str] = set()
    drawn: dict[str, tuple[NetworkSpec, ...]] = {}
    for purpose, wanted in (("held-out", held_out), ("calibration", calibration)):
        rng = rng_for(seed, "latency model", purpose)
        networks: list[NetworkSpec] = []
        for _ in range(100 * wanted):
            network = space.decode(space.choices.sample_spread(rng))
            if network_id(network) not in seen:
                seen.add(network_id(network))
                networks.append(network)
            if len(networks) == wanted:
                break
        if len(networks) < wanted:
            raise InputError(
                f"space {space.choices.name!r} has too few different networks for {held_out} held-out and "
                f"{calibration} calibration networks: ask for fewer"
            )
        drawn[purpose] = tuple(networks)
    return drawn["held-out"], drawn["calibration"]


def build(
    target: Target, layers: Mapping[str, LocatedLayer] | None, store: TargetStore, fitted: Sequence[NetworkSpec],
    judges: Sequence[NetworkSpec], *, seed: int, timer: Timer, progress: Progress,
) -> LatencyModel:  # fmt: skip
    """The model from the layers and the calibration networks; of the judges it learns only which they are.

    Args:
        target: where.
        layers: all that networks of the space have, by key; None where they are too many.
        store: of the layers' latencies.
        fitted: the calibration networks.
        judges: the held-out networks.
        seed: of the orders in which everything is timed.
        timer: runs the sessions.
        progress: told about every session.

    Raises:
        InputError: a network is for other images than those of the target.
    """
    for network in (*fitted, *judges):
        if tuple(network.input_shape) != target.key.input_shape:
            raise InputError(
                f"the target was opened for images of {target.key.input_shape}, and the space has networks for images "
                f"of {network.input_shape}: a latency model belongs to one size, profile a space of one resolution"
            )
    if layers is None:
        layers = some_layers(fitted, judges, seed)
    else:  # one that is so rare that it did not come up is timed where a network needs it
        layers = {**layers, **_layers_of((*fitted, *judges))}
    table = layer_table(target, layers, store, seed=seed, timer=timer, progress=progress)
    measured = _measure(target, fitted, store, "calibration", seed, timer, progress)
    observations = tuple(observation(n, m.median_ms) for n, m in zip(fitted, measured, strict=True))
    errors = cross_validated(table, observations)
    return LatencyModel(
        target.name, target.key.id, table, observations, frozenset(map(network_id, judges)),
        kind=min(errors, key=lambda kind: errors[kind]), errors_percent=errors,
    )  # fmt: skip


def judge(
    model: LatencyModel, target: Target, store: TargetStore, fitted: Sequence[NetworkSpec],
    judges: Sequence[NetworkSpec], *, seed: int, timer: Timer, progress: Progress,
) -> LatencyModel:  # fmt: skip
    """The same model with its figures on the held-out networks, measured now; nothing of it is fitted to them."""
    truth = _measure(target, judges, store, "held-out", seed, timer, progress)
    points = [
        Point(model.cost(network).value, measurement.median_ms, count(network).macs)
        for network, measurement in zip(judges, truth, strict=True)
    ]
    calibration = [(count(n).macs, row.measured_ms) for n, row in zip(fitted, model.observations, strict=True)]
    return replace(model, quality=assess(points, [measurement.sessions_ms for measurement in truth], calibration))


def some_layers(fitted: Sequence[NetworkSpec], judges: Sequence[NetworkSpec], seed: int) -> dict[str, LocatedLayer]:
    """SOME_LAYERS of the calibration networks at random, and one more for each feature that none of them has."""
    layers = _layers_of(fitted)
    keys = list(layers)
    order = [keys[index] for index in rng_for(seed, "latency model", "layers").permutation(len(keys))]
    found = {key: layers[key] for key in order[:SOME_LAYERS]}
    seen = {name for key in found for name in features_by_key(key)}
    layers |= _layers_of(judges)
    for key in (*order[SOME_LAYERS:], *layers):
        if not seen.issuperset(features_by_key(key)):
            found[key] = layers[key]
            seen.update(features_by_key(key))
    return found


def layer_table(
    target: Target, layers: Mapping[str, LocatedLayer], store: TargetStore, *, seed: int, timer: Timer,
    progress: Progress,
) -> dict[str, LayerTime]:  # fmt: skip
    """Layers timed alone; those in the store are taken from there, the others measured and stored.

    Args:
        target: where.
        layers: by key.
        store: keeps them under the target key.
        seed: of the orders in which layers are timed.
        timer: runs the sessions.
        progress: told about every session.
    """
    yardstick_ms = reference_ms(target, store, timer, progress)
    known = store.read(target).layers
    missing = {key: layer for key, layer in layers.items() if key not in known}
    if missing:
        known = store.add_layers(target, _time_layers(target, missing, yardstick_ms, seed, timer, progress))
    return {key: LayerTime(known[key].ms, edge_values(layer)) for key, layer in layers.items()}


def _layers_of(networks: Sequence[NetworkSpec]) -> dict[str, LocatedLayer]:
    """Every layer of some networks that costs time, by key."""
    return {layer.key: layer for network in networks for layer in priced_layers(network)}


def _time_layers(
    target: Target, layers: dict[str, LocatedLayer], yardstick_ms: float, seed: int, timer: Timer, progress: Progress
) -> dict[str, LayerLatency]:
    files = _written({key: alone(layer) for key, layer in layers.items()}, target, "write layers", progress)
    # Half the rounds of a network: the calibration forgives a layer's error, and there are many layers.
    plan = Plan(max(10, default_rounds(target.key.input_shape) // 2), seed_for(seed, "layers"))
    taken = run_sessions(target, files, plan, LAYER_SESSIONS, timer, progress, stage="measure layers")
    samples = {
        key: tuple(yardstick_ms * session.ratio(key, REFERENCE, target) for session in taken[key]) for key in layers
    }
    return {key: LayerLatency(median(values), values) for key, values in samples.items()}


def _measure(
    target: Target, networks: Sequence[NetworkSpec], store: TargetStore, role: str, seed: int, timer: Timer,
    progress: Progress,
) -> list[Measurement]:  # fmt: skip
    named = {f"{role} {index}": network for index, network in enumerate(networks)}
    files = _written(named, target, f"write {role} networks", progress)
    measured = measure(
        target, {name: file.content for name, file in files.items()}, store, sessions=NETWORK_SESSIONS,
        seed=seed_for(seed, role), timer=timer, progress=progress, stage=f"measure {role} networks",
    )  # fmt: skip
    return [measured[name] for name in named]


def _written(
    networks: dict[str, NetworkSpec], target: Target, stage: str, progress: Progress
) -> dict[str, ModelFile]:  # fmt: skip
    """Files for the target's engine; some need a second each."""
    engine = open_engine(target.name)
    progress.stage(stage, len(networks))
    files: dict[str, ModelFile] = {}
    for done, (name, network) in enumerate(networks.items(), start=1):
        files[name] = untrained(network, engine)
        progress.advance(done, {})
    return files
