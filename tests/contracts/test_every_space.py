"""The laws of a search space over every space in compose, and those of a chain over every chain."""

from __future__ import annotations

from functools import cache

import pytest

from hwnas.compose import SPACES, open_space
from hwnas.core.protocols import PathSpace, SearchSpace
from hwnas.core.seeds import rng_for
from hwnas.testing.spaces import PathSpaceContract, SpaceContract, check_counts

# Chains: the smallest images that each takes, and widths with which all options together fit into a moment.
# The others are never run on images, only counted: any size does.
OPENED = {
    "proxyless-small": ((1, 24, 24), 10, 1.0),
    "proxyless-cifar": ((3, 24, 24), 10, 0.5),
    "proxyless-medium": ((3, 48, 48), 5, 0.5),
    "proxyless-imagenet": ((3, 64, 64), 12, 0.25),
    "macro": ((3, 16, 16), 10, 0.25),
    "tunas-proxyless": ((3, 64, 64), 10, 1.0),
    "tunas-proxyless-enlarged": ((3, 65, 64), 7, 0.5),
    "tunas-mobilenet-v3": ((3, 64, 64), 10, 1.0),
    "ofa-mobilenet-v3": ((3, 64, 64), 10, 1.2),
    "ofa-mobilenet-v3-resolutions": ((3, 160, 160), 10, 1.0),
    "ofa-proxyless": ((3, 70, 64), 10, 1.0),
    "ofa-proxyless-resolutions": ((3, 132, 132), 10, 0.5),
    "mnasnet": ((3, 64, 64), 10, 1.0),
    "mnasnet-small": ((3, 16, 16), 10, 0.5),
    "toy": ((1, 4, 32), 2, 1.0),
}
CHAINS = [name for name in SPACES if isinstance(SPACES[name].own, PathSpace)]
MANY = 1_000


@cache
def opened(name: str) -> SearchSpace:
    shape, classes, width = OPENED[name]
    return open_space(name, shape, classes, width)


class TestEverySpace(SpaceContract):
    @pytest.fixture(params=SPACES)
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        return opened(request.param)


class TestEveryPathSpace(PathSpaceContract):
    @pytest.fixture(params=CHAINS)
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        return opened(request.param)


def test_every_space_is_listed_here() -> None:
    assert set(OPENED) == set(SPACES)
    assert {name for name in SPACES if name not in CHAINS} == {
        name for name in SPACES if name.startswith(("tunas", "ofa", "mnasnet"))
    }


@pytest.mark.parametrize("name", SPACES)
def test_an_architecture_opens_its_space_again(name: str) -> None:
    from hwnas.compose import space_of

    space = opened(name)
    arch = space.choices.sample(rng_for(0, "opens", name))
    assert space_of(arch, space.input_shape, space.classes) == space


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_many_networks_count_as_torch_does(name: str) -> None:
    space, rng = opened(name), rng_for(1, "many", name)
    for _ in range(MANY // 2):
        check_counts(space, space.choices.sample(rng))
        check_counts(space, space.choices.sample_spread(rng))
