"""Random search without replacement: every network is as likely as any other, and none comes twice.

Source: Li, Talwalkar 2019, "Random Search and Reproducibility for Neural Architecture Search", as the baseline that
every search must beat.
Differs: networks are drawn uniformly, not their encodings, of which some networks have several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hwnas.controllers.identity import (
    Identity,
    Scored,
    best_of,
    check_scores,
    delivered,
    scored_from_json,
    scored_to_json,
    whole,
)  # fmt: skip
from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import fields_of
from hwnas.core.seeds import rng_for

_SPREAD_TRIES = 20


class Order(Protocol):
    """The architectures of a space, one after the other, each at most once."""

    dealt: int

    def deal(self) -> Architecture | None:
        """The next architecture; None when there is none left."""
        ...

    def skip_to(self, dealt: int) -> None:
        """Deals until so many are dealt."""
        ...


MakeOrder = Callable[[ChoiceSpace, int], Order]


class RandomOrder:
    """The architectures of a space in random order, each once: a shuffle of which only what was dealt is kept.

    Source: the Fisher-Yates shuffle; card `i` changes places with one drawn from those not dealt yet.

    Args:
        space: of any size.
        seed: decides the order.
    """

    def __init__(self, space: ChoiceSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._size = space.size()
        self._moved: dict[int, int] = {}  # which card lies in a place, where it is not the card of that number
        self.dealt = 0

    def deal(self) -> Architecture | None:
        """The next architecture; None when all were dealt."""
        if self.dealt == self._size:
            return None
        place, left = self.dealt, self._size - self.dealt
        # Eight bytes more than the number needs: then no remainder is likelier than another by more than 2^-64.
        drawn = rng_for(self._seed, "random", place).bytes(left.bit_length() // 8 + 9)
        other = place + int.from_bytes(drawn) % left
        card = self._moved.get(other, other)
        self._moved[other] = self._moved.pop(place, place)
        self.dealt += 1
        return self._space.architecture_at(card)

    def skip_to(self, dealt: int) -> None:
        """Deals until so many are dealt."""
        while self.dealt < dealt:
            self.deal()


class SpreadOrder:
    """Every second architecture from a sample that is spread over the costs, the others in random order; each once.

    Uniformly drawn networks of a deep space cost nearly the same, and of a limit well below that they find nothing.

    Args:
        space: of any size.
        seed: decides the order.
    """

    def __init__(self, space: ChoiceSpace, seed: int) -> None:
        self._space, self._seed = space, seed
        self._order = RandomOrder(space, seed)
        self._seen: set[Architecture] = set()
        self.dealt = 0

    def deal(self) -> Architecture | None:
        """The next architecture; None when all were dealt."""
        arch = self._spread() if self.dealt % 2 else None
        while arch is None or arch in self._seen:
            arch = self._order.deal()
            if arch is None:
                return None
        self._seen.add(arch)
        self.dealt += 1
        return arch

    def skip_to(self, dealt: int) -> None:
        """Deals until so many are dealt."""
        while self.dealt < dealt:
            self.deal()

    def _spread(self) -> Architecture | None:
        """One that was not dealt before; None where it is hard to find."""
        rng = rng_for(self._seed, "spread", self.dealt)
        drawn = (self._space.sample_spread(rng) for _ in range(_SPREAD_TRIES))
        return next((arch for arch in drawn if arch not in self._seen), None)


class RandomController:
    """Proposes architectures in random order until there are no more.

    Args:
        space: what is proposed from.
        seed: decides the order.
        order: RandomOrder or SpreadOrder.
    """

    def __init__(self, space: ChoiceSpace, seed: int, order: MakeOrder = RandomOrder) -> None:
        self._identity = Identity("random" if order is RandomOrder else "random, spread", space, seed)
        self._make_order = order
        self._order = order(space, seed)
        self._best: Scored | None = None

    def propose(self, count: int) -> list[Architecture]:
        """The next ones; fewer than `count` at the end of the space."""
        return [arch for _ in range(count) if (arch := self._order.deal()) is not None]

    def observe(self, scored: Sequence[Scored]) -> None:
        """Remembers the best; nothing that follows depends on it."""
        check_scores(scored)
        self._best = best_of(self._best, scored)

    def best_guess(self) -> Architecture:
        """The best that was observed."""
        return delivered(self._best)

    def state_dict(self) -> dict[str, Any]:
        """How many were proposed, and the best."""
        best = scored_to_json(self._best) if self._best else None
        return self._identity.state({"proposed": self._order.dealt, "best": best})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state; the order before it is drawn again."""
        self._identity.check(state)
        with fields_of("state of a random controller"):
            space = self._identity.space
            proposed = whole(state["proposed"], space.size())
            best = scored_from_json(state["best"], space) if state["best"] is not None else None
        self._order = self._make_order(space, self._identity.seed)
        self._order.skip_to(proposed)
        self._best = best
