"""The example run as fixtures, made anew for every test."""

from __future__ import annotations

from typing import Any

import pytest
from example_run import make_metrics, make_result


@pytest.fixture
def result() -> dict[str, Any]:
    return make_result()


@pytest.fixture
def metrics() -> list[dict[str, Any]]:
    return make_metrics()
