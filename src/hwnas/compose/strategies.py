"""Strategies by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.core.errors import UnknownName

if TYPE_CHECKING:
    from hwnas.strategies.black_box import BlackBoxSearch


@dataclass(frozen=True)
class KnownStrategy:
    """A black-box strategy that can be asked for by name.

    Args:
        text: one sentence.
        load: imports it, which may take torch.
        reward: the name of its own objective.
    """

    text: str
    load: Callable[[], BlackBoxSearch]
    reward: str


def _random() -> BlackBoxSearch:
    from hwnas.strategies.random_search import search

    return search


def _evolution() -> BlackBoxSearch:
    from hwnas.strategies.evolution import search

    return search


def _guided() -> BlackBoxSearch:
    from hwnas.strategies.guided import search

    return search


def _mnasnet() -> BlackBoxSearch:
    from hwnas.strategies.mnasnet import search

    return search


STRATEGIES: dict[str, KnownStrategy] = {
    "random": KnownStrategy(
        "random search: networks drawn without replacement, each trained alone", _random, "hard-limit"
    ),
    "evolution": KnownStrategy("regularised evolution over networks trained alone", _evolution, "hard-limit"),
    "guided": KnownStrategy(
        "recommended: of mutants of the best, those that a Gaussian process finds most promising",
        _guided,
        "hard-limit",
    ),
    "mnasnet": KnownStrategy(
        "MnasNet: an LSTM proposes, networks are trained alone and timed, PPO learns", _mnasnet, "mnasnet-soft"
    ),
}


REWARDS: dict[str, str] = {
    "hard-limit": "Q for T <= T0, else -T/T0: accuracy Q inside the budget T0 counts, nothing else",
    "mnasnet-soft": "Q·(T/T0)^-0.07: MnasNet's, twice the latency T for 5 % more accuracy",
    "mnasnet-hard": "Q for T <= T0, else Q·T0/T: MnasNet's with a hard edge",
    "tunas-absolute": "Q - 0.10·|T/T0 - 1|: TuNAS's, draws the latency onto the budget from both sides",
    "proxyless-r": "Q·(T0/T)^0.1: the released code of ProxylessNAS",
    "front": "what a network adds to the front of accuracy and latency below T0",
}


def known_strategy(name: str) -> KnownStrategy:
    """A black-box strategy by name.

    Raises:
        UnknownName: no such strategy.
    """
    if name not in STRATEGIES:
        raise UnknownName("strategy", name, STRATEGIES)
    return STRATEGIES[name]
