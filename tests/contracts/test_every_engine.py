"""The laws of an engine over every engine that is installed."""

from __future__ import annotations

import pytest

from hwnas.core.errors import TargetUnavailable
from hwnas.core.network import lower
from hwnas.core.primitives import Primitive
from hwnas.core.protocols import Engine
from hwnas.hardware.engines import ENGINES, open_engine
from hwnas.runs.stored import MODEL_FILES
from hwnas.testing.engines import EngineContract, networks
from hwnas.workflows.files import model_name


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    try:
        return open_engine(request.param)
    except TargetUnavailable as reason:
        pytest.skip(str(reason))


class TestEveryEngine(EngineContract):
    pass


def test_a_run_knows_what_every_engine_delivers(engine: Engine) -> None:
    assert model_name(engine.suffix) in MODEL_FILES


def test_the_networks_hold_every_primitive() -> None:
    found = {type(operation.primitive) for network in networks().values() for operation in lower(network).operations}
    assert found == set(Primitive.__args__)
