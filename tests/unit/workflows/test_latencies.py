"""What is known of latencies before a file is measured for good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwnas.core.errors import InputError
from hwnas.core.seeds import rng_for
from hwnas.hardware.calibration import LayerTime
from hwnas.hardware.latency_model import LatencyModel, observation
from hwnas.hardware.layers import distinct_layers, edge_values, network_id
from hwnas.spaces.ofa import ofa_space
from hwnas.spaces.proxyless import proxyless_space
from hwnas.workflows.latencies import ModelLatencies

OFA = ofa_space("ofa-mobilenet-v3", several=False, input_shape=(3, 64, 64))
PATHS = proxyless_space("proxyless-small", (1, 24, 24), 10)


def latencies(space):
    """By a model whose layers cost what they read and write, and five architectures, of which the last is held out."""
    rng = rng_for(0, "latencies")
    drawn = [space.choices.sample(rng) for _ in range(5)]
    networks = [space.decode(arch) for arch in drawn]
    layers = distinct_layers(space, 100) or {}
    table = {key: LayerTime(1e-5 * edge_values(layer), edge_values(layer)) for key, layer in layers.items()}
    rows = tuple(observation(network, 2.0) for network in networks[:2])
    model = LatencyModel("t", "id", table, rows, frozenset({network_id(networks[-1])}))
    return ModelLatencies(model, space), drawn


@pytest.mark.parametrize("space", [OFA, PATHS], ids=["ofa", "paths"])
def test_a_model_says_the_latencies_of_any_space(space) -> None:
    known, drawn = latencies(space)
    assert (known.kind, known.provenance) == ("model", "id")
    for arch in drawn:
        assert known.total(arch) == pytest.approx(known.model.cost(space.decode(arch)).value, rel=1e-9)
    before = known.total(drawn[2])
    assert known.learned(drawn[2], 2 * before).total(drawn[2]) >= 2 * before * (1 - 1e-12)
    assert known.learned(drawn[-1], 9.0) == known
    other = replace(known, model=replace(known.model, kind="macs"))
    assert other.total(drawn[0]) == pytest.approx(other.model.cost(space.decode(drawn[0])).value, rel=1e-9)


def test_only_a_chain_of_choices_has_terms() -> None:
    assert latencies(PATHS)[0].terms.by_choice.keys() == {choice.name for choice in PATHS.choices.choices}
    with pytest.raises(InputError, match="no sum over choices"):
        _ = latencies(OFA)[0].terms
