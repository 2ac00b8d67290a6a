"""Which networks and layers a profile measures, and what it takes from the store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwnas.core.errors import InputError
from hwnas.hardware.layers import network_id, places
from hwnas.hardware.profiling import draw_networks, profile
from hwnas.hardware.store import TargetStore
from hwnas.hardware.targets import open_target
from hwnas.spaces.proxyless import proxyless_space


def layer_sessions(timer):
    return [names for names in timer.sessions if names and names[0].startswith("{")]


def test_all_drawn_networks_are_different(space):
    judges, fitted = draw_networks(space, 40, 20, seed=0)
    assert len({network_id(network) for network in (*judges, *fitted)}) == 60


def test_held_out_networks_are_drawn_first(space):
    """How many are used for calibration has no influence on who judges."""
    assert draw_networks(space, 12, 2, seed=5)[0] == draw_networks(space, 12, 30, seed=5)[0]
    assert draw_networks(space, 12, 2, seed=5)[0] != draw_networks(space, 12, 2, seed=6)[0]


def test_too_small_a_space_is_said(space):
    with pytest.raises(InputError, match="too few different networks"):
        draw_networks(small_space(), 20, 40, seed=0)
    for counts in ((1, 10), (10, 1)):
        with pytest.raises(InputError, match="2 held-out and 2 calibration"):
            draw_networks(space, *counts, seed=0)


def small_space():
    """A space of 36 architectures."""
    space = proxyless_space("proxyless-small", (1, 24, 24), 10)
    return replace(space, stage_channels=(16, 24), stage_layers=(1, 1), stage_strides=(1, 2))


def test_every_network_and_layer_is_timed_in_its_role(target, space, store, fake_timer):
    timer = fake_timer()
    model = profile(target, space, store, timer=timer, calibration=5, held_out=4)
    keys = {layer.key for place in places(space) for layer in place.priced.values()}
    assert {name for names in layer_sessions(timer) for name in names} == keys == set(model.table)
    roles = [names for names in timer.sessions if names and not names[0].startswith("{")]
    expected = [tuple(f"{role} {n}" for n in range(count)) for role, count in (("calibration", 5), ("held-out", 4))]
    assert roles == [expected[0]] * 3 + [expected[1]] * 3
    assert len(model.observations) == 5
    assert len(model.held_out) == len(model.quality.points) == 4


def test_the_same_seed_gives_the_same_model(target, space, tmp_path, fake_timer):
    models = [
        profile(target, space, TargetStore(tmp_path / str(n)), seed=7, timer=fake_timer(noise=0.02)) for n in range(2)
    ]
    assert models[0] == models[1]


def test_stored_layers_are_not_timed_again(target, space, store, fake_timer):
    first, second = fake_timer(noise=0.02), fake_timer(noise=0.02)
    before = profile(target, space, store, seed=0, timer=first)
    after = profile(target, space, store, seed=1, timer=second)
    assert len(layer_sessions(first)) == 2
    assert layer_sessions(second) == []
    assert after.table == before.table
    assert after.held_out != before.held_out


def test_only_layers_that_are_missing_are_timed(target, space, store, fake_timer):
    profile(target, space, store, timer=fake_timer())
    more_classes = proxyless_space("proxyless-small", space.input_shape, 37)
    timer = fake_timer()
    profile(target, more_classes, store, timer=timer)
    (names,) = set(layer_sessions(timer))
    assert [name for name in names if '"classes":37' in name] == list(names)


def test_another_engine_version_is_measured_anew_and_said(target_of, space, store, fake_timer, listener):
    profile(target_of(version="1.0"), space, store, timer=fake_timer())
    timer = fake_timer()
    profile(target_of(version="1.1"), space, store, timer=timer, progress=listener)
    assert layer_sessions(timer)
    assert listener.said == [
        "onnxruntime-f32 was measured before, but with version 1.0 instead of 1.1; it is measured anew"
    ]


def test_a_target_for_other_images_is_refused(target_of, space, store, fake_timer):
    with pytest.raises(InputError, match="opened for images"):
        profile(target_of(shape=(3, 32, 32)), space, store, timer=fake_timer())


def test_figures_beat_counting(target, space, store, fake_timer):
    quality = profile(target, space, store, timer=fake_timer(noise=0.02)).quality
    assert quality.mape_percent < quality.macs_mape_percent
    assert quality.kendall_tau > 0.8
    assert 0 < quality.retest_cv_percent < 2
    assert quality.calibration_networks == 12


@pytest.mark.slow
def test_a_real_profile_ranks_networks(store):
    space = proxyless_space("proxyless-small", (1, 28, 28), 10)
    quality = profile(open_target("onnxruntime", space.input_shape), space, store).quality
    assert quality.kendall_tau > 0.7
