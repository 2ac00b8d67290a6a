"""The laws of a search space over every space in compose."""

from __future__ import annotations

import pytest

from hwnas.compose import SPACES, open_space
from hwnas.core.protocols import PathSpace
from hwnas.testing.spaces import SpaceContract

# The smallest images that each takes, and widths with which all options together fit into a moment.
OPENED = {
    "proxyless-small": ((1, 24, 24), 10, 1.0),
    "proxyless-cifar": ((3, 24, 24), 10, 0.5),
    "proxyless-medium": ((3, 48, 48), 5, 0.5),
    "proxyless-imagenet": ((3, 64, 64), 12, 0.25),
    "toy": ((1, 4, 32), 2, 1.0),
}


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> PathSpace:
    shape, classes, width = OPENED[request.param]
    return open_space(request.param, shape, classes, width)


class TestEverySpace(SpaceContract):
    pass


def test_every_space_is_listed_here() -> None:
    assert set(OPENED) == set(SPACES)
