"""The kinds of latency model: features by hand, priors by hand, and which kind is chosen on truths that are known."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest

from hwnas.core.counting import count
from hwnas.core.errors import FileFormatError, InputError, UnknownLayer
from hwnas.core.layers import Act, Classifier, ConvBnAct, MBConv, Zero
from hwnas.core.network import NetworkSpec, Node
from hwnas.core.seeds import rng_for
from hwnas.hardware import kinds, profiling
from hwnas.hardware.calibration import LayerTime, Observation, calibrate
from hwnas.hardware.features import features, features_by_key, macs_by_key, merged_by_key
from hwnas.hardware.kinds import FeaturePrior, LayerPrior, MacsPrior, cross_validated
from hwnas.hardware.latency_model import LatencyModel, observation
from hwnas.hardware.layers import alone, distinct_layers, edge_values, network_id, priced_layers
from hwnas.hardware.profiling import draw_networks, profile, some_layers
from hwnas.spaces.mnasnet import mnasnet_small_space
from hwnas.spaces.ofa import ofa_space
from hwnas.spaces.proxyless import proxyless_space


def layer_on(shape, spec):
    (layer,) = priced_layers(NetworkSpec(shape, (Node("layer", spec),)))
    return layer


@pytest.fixture(scope="module")
def wide():
    """A space that searches widths: thousands of layers."""
    return mnasnet_small_space((3, 16, 16), 10, width=0.25)


@pytest.fixture(scope="module")
def networks(wide):
    """Held-out, then calibration networks."""
    return draw_networks(wide, 20, 40, seed=0)


# features


def test_the_features_of_a_bottleneck_by_hand():
    """8 channels of 10x10 are widened to 24, filtered, excited through 4, narrowed to 8 and added."""
    found = features(layer_on((8, 10, 10), MBConv(8, 5, 3, se_channels=4, activation="hard_swish")))
    assert found == {
        "operations": 11,  # five convolutions, activations but ReLU, pool, product, sum
        "convolution 1x1 MACs": 100 * (8 * 24 + 24 * 8),
        "convolution 1x1 values": 100 * (8 + 24 + 24 + 8),
        "depthwise 5x5 MACs": 100 * 24 * 25,
        "depthwise 5x5 values": 100 * 2 * 24,
        "hard_swish values": 2 * (100 * 2 * 24),
        "globalpool values": 24 * 100 + 24,
        "linear values": (24 + 4) + (4 + 24),
        "sigmoid values": 2 * 24,
        "mul values": 24 * 100 + 24 + 24 * 100,
        "add values": 3 * 100 * 8,
        "convolution 1x1 weights": 8 * 24 + 24 * 8,
        "depthwise 5x5 weights": 24 * 25,
        "linear weights": (24 * 4 + 4) + (4 * 24 + 24),
        # Neither 8 nor 24 channels fill blocks of 16; a map of one pixel has no blocks.
        "convolution 1x1 ragged MACs": 100 * (8 * 24 + 24 * 8),
        "depthwise 5x5 ragged MACs": 100 * 24 * 25,
        "ragged values": 100 * ((8 + 24 + 24 + 8) + 2 * 24 + 2 * 2 * 24 + 24 + 2 * 24 + 3 * 8),
    }


def test_only_maps_that_leave_a_block_unfilled_are_ragged():
    whole = features(layer_on((16, 4, 4), ConvBnAct(32, 3)))
    assert whole == {
        "operations": 1, "convolution 3x3 MACs": 16 * 9 * 16 * 32, "convolution 3x3 values": 16 * 48,
        "convolution 3x3 weights": 9 * 16 * 32,
    }  # fmt: skip
    reads, writes = features(layer_on((24, 4, 4), ConvBnAct(32, 3))), features(layer_on((16, 4, 4), ConvBnAct(40, 3)))
    assert (reads["ragged values"], writes["ragged values"]) == (16 * 24, 16 * 40)
    assert all(row["convolution 3x3 ragged MACs"] == row["convolution 3x3 MACs"] for row in (reads, writes))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (ConvBnAct(6, 3, 2, groups=2), {"grouped 3x3 strided MACs": 16 * 6 * 2 * 9, "operations": 1,
                                        "grouped 3x3 strided values": 64 * 4 + 16 * 6, "ragged values": 64 * 4 + 16 * 6,
                                        "grouped 3x3 strided ragged MACs": 16 * 6 * 2 * 9,
                                        "grouped 3x3 strided weights": 6 * 2 * 9}),
        (Classifier(10), {"globalpool values": 64 * 4 + 4, "linear values": 14, "linear weights": 50, "operations": 2,
                          "ragged values": 64 * 4}),
        (Act("swish"), {"swish values": 2 * 64 * 4, "operations": 1, "ragged values": 2 * 64 * 4}),
        (Act("relu"), {}),
        (Zero(), {}),
    ],
)  # fmt: skip
def test_the_features_of_other_layers_by_hand(spec, expected):
    network = NetworkSpec((4, 8, 8), (Node("layer", spec),))
    assert [features(layer) for layer in priced_layers(network)] == ([] if isinstance(spec, Zero) else [expected])


def test_a_key_stands_for_its_layer(networks):
    for layer in [layer for network in networks[0][:5] for layer in priced_layers(network)]:
        assert features_by_key(layer.key) == features(layer)
        assert macs_by_key(layer.key) == count(alone(layer)).macs


@pytest.mark.parametrize("key", ["x", "[]", "{}", '{"layer":"MBConv"}', "7", "[" * 2000,
                                 '{"layer":"Zero","input_shapes":[[1e99]]}'])  # fmt: skip
def test_what_is_no_key_is_a_damaged_file(key):
    with pytest.raises(FileFormatError, match="is no layer"):
        features_by_key(key)


# priors


def test_weights_alone_leave_what_being_alone_costs():
    """Layers take 2 ns a MAC, and alone 0.01 ms for the call and 1 ns for every value that goes in and out."""
    specs = [MBConv(out, kernel, expansion) for out in (8, 16, 32) for kernel in (3, 5) for expansion in (3, 6)]
    layers = [layer_on((8, side, side), spec) for spec in specs for side in (8, 16)]
    table = {
        layer.key: LayerTime(0.01 + 1e-6 * edge_values(layer) + 2e-6 * macs_by_key(layer.key), edge_values(layer))
        for layer in layers
    }
    prior = FeaturePrior(merged_by_key, table)
    expected = [2e-6 * macs_by_key(key) for key in table]
    assert prior.mean_ms(tuple(table)) == pytest.approx(expected, rel=0.1)
    assert np.all(prior.spread_ms(tuple(table)) >= 0)
    unseen = layer_on((24, 8, 8), MBConv(24, 3, 4))
    assert prior.mean_ms((unseen.key,))[0] == pytest.approx(2e-6 * macs_by_key(unseen.key), rel=0.1)
    with pytest.raises(KeyError, match="kernel"):
        prior.mean_ms((layer_on((8, 8, 8), MBConv(8, 7, 3)).key,))


def test_the_price_by_macs_by_hand():
    layers = [layer_on((4, 8, 8), ConvBnAct(out, 1)) for out in (4, 8)]
    assert [macs_by_key(layer.key) for layer in layers] == [1024, 2048]
    prior = MacsPrior({layer.key: LayerTime(3.072, 1) for layer in layers})
    assert prior.mean_ms([layer.key for layer in layers]).tolist() == pytest.approx([2.048, 4.096])
    rows = [Observation(str(n), {layers[0].key: n}, 0.5 + 1.024 * n) for n in (1, 2, 4, 8, 16)]
    fitted = calibrate(prior, rows)
    assert fitted.constant_ms == pytest.approx(0.5, abs=0.01)
    assert fitted.prices_ms([layer.key for layer in layers]) == pytest.approx([1.024, 2.048], rel=0.01)


def test_nothing_was_lost_on_layers_timed_alone_by_hand():
    """Scale, overhead and values are shared, and every layer has a deviation."""
    prior = LayerPrior({"a": LayerTime(1.0, 100), "b": LayerTime(3.0, 300)})
    assert prior.mean_ms(("b", "a", "b")).tolist() == [3.0, 1.0, 3.0]
    assert prior.spread_ms(("b", "a")) == pytest.approx(
        np.array([[1.5, 0.5], [0.4, 0.4], [0.6, 0.2], [0.0, 0.08], [0.24, 0.0]])
    )


# the choice


def per_layer(purpose, low, high):
    """A number for each layer that nothing about the layer tells."""
    return lambda key: float(rng_for(0, purpose, key).uniform(low, high))


def truth(networks, price, constant_ms=0.05):
    """What networks take where every layer has a price, with 1 % of noise."""
    rng = rng_for(1, "noise")
    return [
        (constant_ms + sum(price(layer.key) for layer in priced_layers(network))) * rng.normal(1, 0.01)
        for network in networks
    ]


def observed(networks, price):
    latencies = truth(networks, price)
    return [observation(network, ms) for network, ms in zip(networks, latencies, strict=True)]


def error(model, networks, price):
    latencies = truth(networks, price)
    return fmean(abs(model.cost(n).value / ms - 1) for n, ms in zip(networks, latencies, strict=True))


def by_features(key):
    """Two and a half ways to pay: MACs, dear ones in depthwise convolutions, and weights."""
    found = features_by_key(key)
    dear = sum(amount for name, amount in found.items() if name.startswith("depthwise") and name.endswith("MACs"))
    return 0.002 + 2e-7 * macs_by_key(key) + 2e-6 * dear + 1e-6 * merged_by_key(key).get("weights", 0)


def timed(layers, price):
    """Layers alone take 4 us for the call and, each, up to 3 % more or less than in a network."""
    off = per_layer("alone", 0.97, 1.03)
    return {key: LayerTime(0.004 + price(key) * off(key), edge_values(layer)) for key, layer in layers.items()}


def test_layers_are_chosen_where_each_has_a_price_of_its_own(space):
    own = per_layer("price", 0.01, 0.2)
    judges, fitted = draw_networks(space, 20, 12, seed=0)
    table, rows = timed(distinct_layers(space, 100), own), observed(fitted, own)
    errors = cross_validated(table, rows)
    assert list(errors) == ["layers", "features", "features by weights", "macs"]
    assert errors["layers"] < 3 < min(errors["features"], errors["macs"])
    models = {kind: LatencyModel("t", "id", table, tuple(rows), frozenset(), kind=kind) for kind in errors}
    assert error(models["layers"], judges, own) < 0.03 < error(models["macs"], judges, own)


def test_features_are_chosen_where_there_are_too_many_layers(wide, networks):
    judges, fitted = networks
    assert distinct_layers(wide, profiling.MOST_LAYERS) is None
    layers = some_layers(fitted, judges, seed=0)
    assert profiling.SOME_LAYERS <= len(layers) < len({x.key for network in fitted for x in priced_layers(network)})
    table, rows = timed(layers, by_features), observed(fitted, by_features)
    errors = cross_validated(table, rows)
    assert list(errors) == ["features", "features by weights", "macs"]
    assert errors["features"] < 3 < errors["macs"]
    model = LatencyModel("t", "id", table, tuple(rows), frozenset(), kind="features")
    assert any(layer.key not in table for network in judges for layer in priced_layers(network))
    assert error(model, judges, by_features) < 0.03
    with pytest.raises(UnknownLayer):
        replace(model, kind="layers")


def test_weights_that_an_engine_transforms_have_a_price_of_their_own(networks):
    """As in Winograd's algorithm: those of dense 3x3 convolutions of stride 1 cost twenty times the others."""

    def transformed(key):
        return by_features(key) + 2e-5 * features_by_key(key).get("convolution 3x3 weights", 0)

    judges, fitted = networks
    table, rows = timed(some_layers(fitted, judges, seed=0), transformed), observed(fitted, transformed)
    errors = cross_validated(table, rows)
    assert errors["features by weights"] < 3 < errors["features"]
    model = LatencyModel("t", "id", table, tuple(rows), frozenset(), kind="features by weights")
    assert error(model, judges, transformed) < 0.03


def test_weights_that_only_networks_show_are_learnt(networks):
    """Alone, weights lie in a cache; in a network they cost three times as much."""
    judges, fitted = networks

    def in_networks(key):
        return by_features(key) + 2e-6 * features_by_key(key).get("weights", 0)

    table = timed(some_layers(fitted, judges, seed=0), by_features)
    few = LatencyModel("t", "id", table, tuple(observed(fitted[:6], in_networks)), frozenset(), kind="features")
    many = LatencyModel("t", "id", table, tuple(observed(fitted, in_networks)), frozenset(), kind="features")
    alone = LatencyModel("t", "id", table, (), frozenset(), kind="features")
    assert error(many, judges, in_networks) < 0.03 < error(alone, judges, in_networks)
    assert error(many, judges, in_networks) < error(few, judges, in_networks)


def test_later_measurements_improve_prices_by_features(networks):
    judges, fitted = networks

    def dear(key):
        fives = sum(amount for name, amount in features_by_key(key).items() if "5x5 MACs" in name)
        return by_features(key) + 1e-6 * fives

    table = timed(some_layers(fitted, judges, seed=0), by_features)
    base = LatencyModel("t", "id", table, tuple(observed(fitted[:8], by_features)), frozenset(), kind="features")
    taught = base
    for network, ms in zip(fitted[8:], truth(fitted[8:], dear), strict=True):
        taught = taught.observed(network, ms)
    assert error(taught, judges, dear) < 0.5 * error(base, judges, dear)


def test_left_out_means_left_out(space, monkeypatch):
    """No network is predicted by a model that was fitted on it."""
    seen: list[set[str]] = []

    class Fitted:
        def __init__(self, rows):
            self.rows = {row.network for row in rows}

        def predict(self, layers):
            seen.append(self.rows - {layers["name"]})
            assert layers["name"] not in self.rows
            return 1.0

    monkeypatch.setattr(kinds, "calibrate", lambda prior, rows: Fitted(rows))
    monkeypatch.setattr(kinds, "KINDS", {"any": lambda table: None})
    rows = [Observation(str(n), {"name": str(n)}, 2.0) for n in range(30)]
    assert cross_validated({}, rows) == {"any": 50.0}
    assert len(seen) == 30 and {len(others) for others in seen} == {27, 28}


# profiles


def test_a_space_of_many_layers_is_profiled(wide, target_of, store, fake_timer, monkeypatch):
    """Some layers and more networks are timed, and the held-out ones change nothing."""
    monkeypatch.setattr(profiling, "SOME_LAYERS", 40)
    timer, target = fake_timer(noise=0.01), target_of(shape=(3, 16, 16))
    model = profile(target, wide, store, seed=1, calibration=16, held_out=4, timer=timer)
    assert list(model.errors_percent) == ["features", "features by weights", "macs"] and model.kind != "macs"
    assert 40 <= len(model.table) < 50 and len(model.observations) == 16 and len(model.held_out) == 4
    assert model.quality.mape_percent < model.quality.macs_mape_percent
    again = LatencyModel.from_json(json.loads(json.dumps(model.to_json(), allow_nan=False)))
    assert again == model
    judges, _ = draw_networks(wide, 4, 16, seed=1)
    assert again.cost(judges[0]).value == pytest.approx(model.cost(judges[0]).value, rel=1e-12)
    poisoned = fake_timer(noise=0.01, change=lambda name, ms: 1e3 if name.startswith("held-out") else ms)
    other = profile(target, wide, store, seed=1, calibration=16, held_out=4, timer=poisoned)
    assert replace(other, quality=None) == replace(model, quality=None)
    assert model.held_out == {network_id(network) for network in judges}
    with pytest.raises(InputError, match="held out"):
        model.observed(judges[0], 1.0)


def test_how_many_networks_are_needed_depends_on_the_layers(space, wide, target_of, store, monkeypatch):
    asked = []

    def stop(space, held_out, calibration, seed):
        asked.append(calibration)
        raise InputError("stop")

    monkeypatch.setattr(profiling, "draw_networks", stop)
    for one in (space, wide):
        with pytest.raises(InputError, match="stop"):
            profile(target_of(shape=one.input_shape), one, store)
    assert asked == [profiling.CALIBRATION, profiling.CALIBRATION_BY_FEATURES] == [12, 40]


def test_a_space_of_several_resolutions_is_refused(target_of, store, fake_timer):
    space = ofa_space("ofa-mobilenet-v3", several=True, input_shape=(3, 136, 136))
    with pytest.raises(InputError, match="belongs to one size"):
        profile(target_of(shape=(3, 136, 136)), space, store, timer=fake_timer())


def test_a_feature_that_only_a_judge_has_is_timed_too(networks):
    judges, fitted = networks
    odd = NetworkSpec(judges[0].input_shape, (*judges[0].nodes[:-1], Node("odd", Act("swish")), judges[0].nodes[-1]))
    names = {name for key in some_layers(fitted, (odd,), seed=0) for name in features_by_key(key)}
    assert "swish values" in names


# distinct layers


def test_the_layers_of_a_space_of_fixed_widths_are_found_by_drawing():
    """Once-for-All: five units, of each a first block and the others, nine options; stem, first, head, classifier."""
    found = distinct_layers(ofa_space("ofa-mobilenet-v3", several=False, input_shape=(3, 64, 64)), 150)
    assert found is not None and len(found) == 5 * 2 * 9 + 4
    assert all(layer.key == key for key, layer in found.items())
    assert distinct_layers(ofa_space("ofa-mobilenet-v3", several=False, input_shape=(3, 64, 64)), 93) is None


def test_a_chain_of_choices_names_its_layers():
    space = proxyless_space("proxyless-small", (1, 24, 24), 10)
    found = distinct_layers(space, 100)
    drawn = {x.key for n in range(50) for x in priced_layers(space.decode(space.choices.sample(rng_for(n, "any"))))}
    assert found is not None and drawn <= found.keys()
    assert distinct_layers(space, len(found)) == found and distinct_layers(space, len(found) - 1) is None
