"""Random search: every network once, all orders alike, and spaces larger than any counter."""

from __future__ import annotations

from collections import Counter

import pytest

from hwnas.compose import SPACES, open_space
from hwnas.controllers.random import RandomController, RandomOrder, SpreadOrder
from hwnas.core.counted import MacsModel
from hwnas.core.errors import FileFormatError, InputError
from hwnas.spaces.toy import ToySpace
from hwnas.testing.controllers import SPACE

TOY = ToySpace().choices


def test_every_network_comes_once_and_then_none() -> None:
    controller = RandomController(SPACE, 0)
    proposed = controller.propose(100) + controller.propose(100)
    assert len(proposed) == 105 and set(proposed) == set(SPACE.enumerate())
    assert controller.propose(1) == []


def test_every_network_is_as_likely_as_any_other() -> None:
    # 105 networks of which the encodings are very unequal: kind a alone stands for a third of them.
    draws = 10_500
    first = Counter(RandomController(SPACE, seed).propose(2)[1] for seed in range(draws))
    spread = sum((first[arch] - 100) ** 2 / 100 for arch in SPACE.enumerate())
    assert 60 < spread < 162  # chi-square with 104 degrees of freedom: 0.02 % at either end


@pytest.mark.parametrize("name", ["tunas-mobilenet-v3", "ofa-mobilenet-v3-resolutions", "mnasnet"])
def test_spaces_larger_than_any_list(name: str) -> None:
    space = SPACES[name].own.choices
    assert space.size() > 10**17
    proposed = RandomController(space, 0).propose(50)
    assert len(set(proposed)) == 50 and all(space.canonical(arch) == arch for arch in proposed)


def test_the_best_guess_is_the_best_observed() -> None:
    controller = RandomController(TOY, 0)
    with pytest.raises(InputError, match="observed nothing"):
        controller.best_guess()
    a, b, c = controller.propose(3)
    controller.observe([(a, 0.2), (b, 0.7)])
    controller.observe([(c, 0.7)])
    assert controller.best_guess() == b


def test_more_proposed_than_there_are_is_refused() -> None:
    controller = RandomController(TOY, 0)
    with pytest.raises(FileFormatError, match="28"):
        controller.load_state_dict({**controller.state_dict(), "proposed": 28})


def test_a_spread_order_deals_every_network_once() -> None:
    space = TOY
    order = SpreadOrder(space, 0)
    dealt = [arch for _ in range(space.size()) if (arch := order.deal()) is not None]
    assert len(set(dealt)) == len(dealt) == space.size() and order.deal() is None
    again = SpreadOrder(space, 0)
    again.skip_to(10)
    assert again.deal() == dealt[10]


def test_a_spread_order_meets_limits_that_uniform_draws_do_not() -> None:
    space = open_space("proxyless-small", (1, 28, 28), 10)
    macs = MacsModel().terms(space)  # type: ignore[arg-type]
    limit, draws = 0.3 * macs.greatest(), 100
    inside = {}
    for kind in (RandomOrder, SpreadOrder):
        order = kind(space.choices, 0)
        dealt = [arch for _ in range(draws) if (arch := order.deal()) is not None]
        inside[kind] = sum(macs.total(arch) <= limit for arch in dealt)
    assert inside[SpreadOrder] > 3 * max(1, inside[RandomOrder])
