"""The latency model on networks whose latency is known."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from hwnas.core.errors import FileFormatError, HwnasError, InputError, UnknownLayer
from hwnas.core.layers import MBConv, Zero
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.seeds import rng_for
from hwnas.hardware.calibration import LayerTime, Observation, calibrate
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.hardware.kinds import LayerPrior
from hwnas.hardware.latency_model import LatencyModel
from hwnas.hardware.layers import alone, edge_values, network_id, places, priced_layers
from hwnas.hardware.model_files import untrained
from hwnas.hardware.profiling import draw_networks, profile
from hwnas.hardware.quality import Point, assess
from hwnas.hardware.store import TargetStore
from hwnas.hardware.timing import measure
from hwnas.spaces.toy import ToySpace


@pytest.fixture(scope="module")
def profiled(target, space, fake_timer, tmp_path_factory):
    store = TargetStore(tmp_path_factory.mktemp("cache"))
    return profile(target, space, store, seed=3, timer=fake_timer(noise=0.01))


@pytest.fixture(scope="module", params=["layers", "features"])
def model(profiled, request):
    """Whichever kind is chosen, both keep the laws."""
    return replace(profiled, kind=request.param)


def drawn(space, count, purpose="test"):
    rng = rng_for(0, purpose)
    return [space.choices.sample_spread(rng) for _ in range(count)]


def test_predictions_are_near_the_truth(model, space, truth_ms):
    networks = [space.decode(arch) for arch in drawn(space, 20)]
    errors = [model.cost(network).value / truth_ms(untrained(network, OnnxRuntimeEngine())) - 1 for network in networks]
    assert np.mean(np.abs(errors)) < 0.03
    assert abs(np.mean(errors)) < 0.02


def test_a_prediction_says_that_it_is_one(model, space, target):
    cost = model.cost(space.decode(drawn(space, 1)[0]))
    assert (cost.kind, cost.unit, cost.provenance) == ("model", "ms", target.key.id)


def test_terms_add_up_to_the_cost_of_any_architecture(model, space):
    terms = model.terms(space)
    rng = rng_for(1, "terms")
    for arch in [*drawn(space, 20), *(space.choices.sample(rng) for _ in range(20))]:
        assert terms.total(arch) == pytest.approx(model.cost(space.decode(arch)).value, abs=1e-9)


def test_removed_layers_cost_nothing(model, space):
    terms = model.terms(space)
    assert {options["zero"] for options in terms.by_choice.values() if "zero" in options} == {0.0}
    network = space.decode(drawn(space, 1)[0])
    with_zero = NetworkSpec(network.input_shape, (network.nodes[0], Node("gone", Zero()), *network.nodes[1:]))
    assert model.cost(with_zero).value == model.cost(network).value
    assert network_id(with_zero) == network_id(network)


def test_an_unknown_layer_is_named_with_the_nearest(model, space):
    network = space.decode(drawn(space, 1)[0])
    # Prices by what a layer does know any width, and no operation that no layer had.
    layer = MBConv(17, 3, 3) if model.kind == "layers" else MBConv(16, 9, 3)
    odd = NetworkSpec(network.input_shape, (*network.nodes[:2], Node("odd", layer), *network.nodes[-1:]))
    named = '"out_channels":17' if model.kind == "layers" else '"kernel":9'
    with pytest.raises(UnknownLayer, match=f"{named}.*nearest entry"):
        model.cost(odd)
    with pytest.raises(UnknownLayer):
        model.observed(odd, 1.0)


def test_a_held_out_network_can_never_be_fitted(model, space):
    judges, _ = draw_networks(space, 12, 12, seed=3)
    for network in judges:
        assert model.is_held_out(network)
        for learn in (model.observed, model.anchored):
            with pytest.raises(InputError, match="held out"):
                learn(network, 1.0)


def test_poisoned_truth_of_held_out_networks_changes_no_prediction(target, space, store, fake_timer, profiled):
    def poisoned(name, ms):
        return 1e6 if name.startswith("held-out") else ms

    other = profile(target, space, store, seed=3, timer=fake_timer(noise=0.01, change=poisoned))
    assert other.quality.mape_percent > 99
    assert other.table == profiled.table
    assert other.observations == profiled.observations
    assert (other.kind, other.errors_percent) == (profiled.kind, profiled.errors_percent)
    assert other.terms(space) == profiled.terms(space)


def test_observing_a_network_moves_its_prediction_and_leaves_the_model_as_it_was(model, space):
    network = space.decode(drawn(space, 1)[0])
    before = model.cost(network).value
    after = model.observed(network, 1.2 * before)
    assert before < after.cost(network).value < 1.2 * before
    assert model.cost(network).value == before
    assert len(after.observations) == len(model.observations) + 1


def test_observing_teaches_what_the_shared_unknowns_cannot(target, space, store, fake_timer, truth_ms):
    """One operation is dearer inside a network than alone; whole networks teach it."""
    base = replace(profile(target, space, store, seed=3, timer=fake_timer()), kind="layers")
    networks = [space.decode(arch) for arch in drawn(space, 60)]

    def dear_ms(network):
        layers = [layer for layer in priced_layers(network) if getattr(layer.layer, "kernel", 0) == 5]
        return truth_ms(untrained(network, OnnxRuntimeEngine())) + sum(0.2 * base.price_ms(layer) for layer in layers)

    def error(model):
        return np.mean([abs(model.cost(network).value / dear_ms(network) - 1) for network in networks[40:]])

    taught = base
    for network in networks[:40]:
        if not taught.is_held_out(network):
            taught = taught.observed(network, dear_ms(network))
    assert error(taught) < 0.6 * error(base)


def test_one_miss_heals_a_planted_error_of_thirty_percent(model, space, truth_ms):
    missed, *others = (space.decode(arch) for arch in drawn(space, 11))
    slower = [1.3 * truth_ms(untrained(network, OnnxRuntimeEngine())) for network in others]
    assert np.mean([model.cost(network).value / ms for network, ms in zip(others, slower, strict=True)]) < 0.8
    measured_ms = 1.3 * truth_ms(untrained(missed, OnnxRuntimeEngine()))
    healed = model.anchored(missed, measured_ms)
    assert healed.cost(missed).value >= measured_ms * (1 - 1e-12)
    ratios = [healed.cost(network).value / ms for network, ms in zip(others, slower, strict=True)]
    # Twelve networks leave weights of features looser than deviations of layers, which then take a part of the blame.
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03 if model.kind == "layers" else 0.05)
    assert healed.terms(space).total(drawn(space, 1)[0]) == pytest.approx(healed.cost(missed).value, abs=1e-9)


def test_a_network_that_missed_is_never_again_predicted_too_low(model, space):
    missed, *others = (space.decode(arch) for arch in drawn(space, 6))
    measured_ms = 1.3 * model.cost(missed).value
    healed = model.anchored(missed, measured_ms)
    for network in others:
        healed = healed.observed(network, model.cost(network).value)
        assert healed.cost(missed).value >= measured_ms * (1 - 1e-12)


def test_anchoring_never_lowers_the_model_by_scaling(model, space):
    network = space.decode(drawn(space, 1)[0])
    faster_ms = 0.7 * model.cost(network).value
    assert model.anchored(network, faster_ms).cost(network) == model.observed(network, faster_ms).cost(network)


def test_a_delay_shows_in_what_is_measured_and_not_in_what_is_predicted(model, target, space, store, fake_timer):
    network = space.decode(drawn(space, 1)[0])
    before = model.cost(network)
    files = {"net": untrained(network, OnnxRuntimeEngine()).content}
    plain = measure(target, files, store, timer=fake_timer())["net"]
    delayed = measure(target, files, store, timer=fake_timer(delay_ms=0.5))["net"]
    assert delayed.median_ms - plain.median_ms == pytest.approx(0.5, rel=1e-2)
    assert model.cost(network) == before
    assert plain.inside(1.1 * plain.median_ms)
    assert not delayed.inside(1.1 * plain.median_ms)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_only_latencies_are_learnt(model, space, wrong):
    with pytest.raises(InputError, match="above zero"):
        model.observed(space.decode(drawn(space, 1)[0]), wrong)


def test_a_model_survives_json(model, space):
    again = LatencyModel.from_json(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    assert again == model
    assert again.terms(space) == model.terms(space)
    missed = model.anchored(space.decode(drawn(space, 1)[0]), 9.0)
    assert LatencyModel.from_json(json.loads(json.dumps(missed.to_json()))).terms(space) == missed.terms(space)


def test_damaged_models_raise_only_our_errors(model):
    whole = model.to_json()
    key = next(iter(whole["layers"]))
    cases = [{name: row for name, row in whole.items() if name != gone} for gone in whole]
    for name in whole:
        wrongs = (3, [1], {"a": 1}) if name == "quality" else (None, 3, [1], {"a": "b"})
        cases += [{**whole, name: wrong} for wrong in wrongs]
    cases += [{**whole, name: "x"} for name in ("layers", "observations", "held_out", "quality", "format", "kind")]
    cases += [
        {**whole, "layers": {**whole["layers"], key: {"isolated_ms": wrong, "edge_values": 3}}}
        for wrong in (0, -1, "1", None, float("nan"))
    ]
    cases += [{**whole, "observations": [{**whole["observations"][0], "layers": {"unknown": 1}}]}, [], None]
    cases += [{**whole, "layers": {}, "observations": []}]
    for case in cases:
        with pytest.raises(HwnasError):
            LatencyModel.from_json(case)
    with pytest.raises(FileFormatError, match="hwnas-latency-model@3"):
        LatencyModel.from_json({**whole, "format": "hwnas-latency-model@9"})


@pytest.mark.parametrize("version", [1, 2])
def test_models_of_earlier_formats_predict_what_they_did(version):
    """They know one kind; the figures that they were judged by are of today's predictions, too."""
    run = Path(__file__).parents[2] / "old_runs" / f"format-{version}"
    data = json.loads((run / "latency" / "onnxruntime-f32.json").read_text())
    model = LatencyModel.from_json(data)
    assert data["format"] == f"hwnas-latency-model@{version}" and "kind" not in data
    assert (model.kind, model.errors_percent) == ("layers", {})
    toy = ToySpace()
    networks = [toy.decode(arch) for arch in toy.choices.enumerate()]
    judged = sorted(model.cost(network).value for network in networks if model.is_held_out(network))
    assert judged == pytest.approx(sorted(point.predicted_ms for point in model.quality.points), rel=1e-9)
    assert LatencyModel.from_json(json.loads(json.dumps(model.to_json()))) == model


def test_a_file_that_fits_a_held_out_network_is_refused(model):
    observed = replace(model.observations[0], network=sorted(model.held_out)[0])
    data = {**model.to_json(), "observations": [asdict(observed)]}
    with pytest.raises(InputError, match="held out"):
        LatencyModel.from_json(data)


def test_without_observations_prices_are_the_isolated_latencies():
    table = {"a": LayerTime(1.0, 100), "b": LayerTime(2.0, 50)}
    plain = calibrate(LayerPrior(table), [])
    assert (plain.constant_ms, plain.prices_ms(("a", "b")).tolist()) == (0.0, [1.0, 2.0])


def test_prices_are_never_negative():
    table = {"a": LayerTime(1.0, 100), "b": LayerTime(0.001, 100_000)}
    rows = [Observation(str(n), {"a": n, "b": 5}, 0.3 * n) for n in range(1, 6)]
    assert min(calibrate(LayerPrior(table), rows).prices_ms(("a", "b"))) >= 0


def test_the_calibration_finds_scale_and_overhead():
    """Layers in a network take 0.8 of their time alone, less 0.02 ms for the call each, plus 0.3 ms for the network."""
    rng = np.random.default_rng(0)
    table = {str(n): LayerTime(float(rng.uniform(0.1, 1.0)), 1000) for n in range(12)}
    rows = []
    for n in range(30):
        layers = {key: int(rng.integers(0, 3)) for key in table}
        true_ms = 0.3 + sum(count * (0.8 * table[key].isolated_ms - 0.02) for key, count in layers.items())
        rows.append(Observation(str(n), layers, true_ms))
    fitted = calibrate(LayerPrior(table), rows[:20])
    for row in rows[20:]:
        assert fitted.predict(row.layers) == pytest.approx(row.measured_ms, rel=0.01)


def test_figures_by_hand():
    points = [Point(1.1, 1.0, 10), Point(1.8, 2.0, 30), Point(4.0, 4.0, 20)]
    sessions = [(0.9, 1.1), (2.0, 2.0), (4.0, 4.0)]
    quality = assess(points, sessions, [(0, 1.0), (10, 2.0), (20, 3.0)])
    assert quality.bias_percent == pytest.approx(0.0)  # +10 %, -10 %, 0
    assert quality.mape_percent == pytest.approx(20 / 3)
    assert quality.r2 == pytest.approx(1 - 0.05 / (42 / 9))
    assert quality.kendall_tau == 1.0
    assert quality.retest_cv_percent == pytest.approx(100 * (0.2 / 2**0.5) / 3)
    assert quality.retest_tau == 1.0
    assert quality.macs_mape_percent == pytest.approx(100 * (1 + 1 + 0.25) / 3)  # 1 + 0.1·MACs: 2, 4, 3
    assert quality.macs_kendall_tau == pytest.approx(1 / 3)
    assert quality.calibration_networks == 3


def test_networks_are_told_apart_by_what_they_compute(space):
    by_id: dict[str, list[str]] = {}
    for arch in drawn(space, 100):
        network = space.decode(arch)
        by_id.setdefault(network_id(network), []).append("\n".join(layer.key for layer in priced_layers(network)))
    assert all(len(set(keys)) == 1 for keys in by_id.values())
    assert len(by_id) == len({keys[0] for keys in by_id.values()})
    renamed = NetworkSpec(network.input_shape, tuple(Node(f"n{i}", n.layer) for i, n in enumerate(network.nodes)))
    assert network_id(renamed) == network_id(network)


def test_every_layer_of_a_space_can_be_timed_alone(space):
    for place in places(space):
        for layer in place.priced.values():
            located = priced_layers(alone(layer))[0]
            assert (located.key, located.output_shape) == (layer.key, layer.output_shape)
            assert edge_values(located) == edge_values(layer)


def test_a_layer_that_reads_different_shapes_cannot_be_timed_alone(space):
    layer = next(iter(places(space)[0].priced.values()))
    odd = replace(layer, input_shapes=((1, 8, 8), (1, 4, 4)))
    with pytest.raises(InputError, match="different shapes"):
        alone(odd)
