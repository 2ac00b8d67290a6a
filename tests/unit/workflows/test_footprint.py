"""What networks take beside time: expected from a few that were weighed, and held against limits."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pytest

from hwnas.core.counting import count
from hwnas.core.network import NetworkSpec
from hwnas.spaces.proxyless import proxyless_space
from hwnas.workflows.footprint import ExpectedFootprints, KnownFootprints, in_words, over, terms

SPACE = proxyless_space("proxyless-small", (3, 32, 32), 10)
LIMITS = {"params": 10**6, "size": 10**6, "memory": 10**7}


def made_up(network: NetworkSpec) -> dict[str, int]:
    """An engine that keeps dense weights three times, those of depthwise 7x7 in blocks of 16, and activations twice."""
    copies = {"depthwise 7x7": 48.0}
    amounts = terms(network)
    weights = {name.removeprefix("weights of "): value for name, value in amounts.items() if name.startswith("weights")}
    memory = 4096 * amounts["operations"] + 2 * amounts["activations"]
    memory += sum(copies.get(kind, 3.0) * value for kind, value in weights.items())
    return {"size": int(sum(weights.values()) + 250 * amounts["operations"]), "memory": int(memory)}


def test_a_few_networks_teach_what_the_others_take() -> None:
    rng = np.random.default_rng(0)
    known, others = ([SPACE.choices.sample_spread(rng) for _ in range(number)] for number in (12, 40))
    found = ExpectedFootprints(SPACE, LIMITS)
    plain, errors = found, []
    for arch in known:
        found = found.learned(arch, made_up(SPACE.decode(arch)))
    for arch in others:
        network = SPACE.decode(arch)
        expected, truth = found.of(arch), made_up(network)
        assert expected["params"] == count(network).params  # counted, not expected
        assert expected["size"] == pytest.approx(truth["size"], rel=0.02)
        errors.append(abs(expected["memory"] / truth["memory"] - 1))
        assert found.share(arch) == max(expected[name] / most for name, most in LIMITS.items())
    assert fmean(errors) < 0.06
    # Before anything was weighed: three bytes of memory for each of weights.
    largest = max(others, key=lambda arch: count(SPACE.decode(arch)).params)
    assert plain.of(largest)["memory"] < 0.7 * made_up(SPACE.decode(largest))["memory"]


def test_a_file_that_takes_more_than_expected_teaches_at_once() -> None:
    rng = np.random.default_rng(1)
    arch, *known = (SPACE.choices.sample_spread(rng) for _ in range(13))
    found = ExpectedFootprints(SPACE, LIMITS)
    for one in known:
        found = found.learned(one, made_up(SPACE.decode(one)))
    truth = made_up(SPACE.decode(arch))
    surprised = found.learned(arch, {**truth, "memory": int(1.5 * truth["memory"])})
    assert surprised.of(arch)["memory"] > 1.05 * found.of(arch)["memory"]
    assert surprised.of(arch)["size"] == pytest.approx(truth["size"], rel=0.01)


def test_what_was_found_of_a_network_counts_as_it_is() -> None:
    arch = SPACE.choices.sample_spread(np.random.default_rng(0))
    found = KnownFootprints({"memory": 100, "params": 50}, lambda _: {"latency": 1e9, "params": 40, "memory": 50})
    assert found.share(arch) == 0.8
    assert found.learned(arch, {"memory": 120}).share(arch) == 1.2
    assert KnownFootprints({}, lambda _: {"latency": 1e9}).share(arch) == 0


def test_limits_in_words() -> None:
    limits = {"params": 10**6, "memory": 3 * 10**6}
    assert over(limits, {"params": 10**6, "memory": 3_210_000, "latency": 5.0}) == [
        "memory 3.21\u00a0MB, limit 3.00\u00a0MB"
    ]
    assert in_words(limits) == "params 1.00\u00a0M, memory 3.00\u00a0MB"
    assert in_words({}) == "none"
