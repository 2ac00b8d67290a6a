"""Random search without replacement: every network is as likely as any other, and none comes twice.

Source: Li, Talwalkar 2019, "Random Search and Reproducibility for Neural Architecture Search", as the baseline that
every search must beat.
Differs: networks are drawn uniformly, not their encodings, of which some networks have several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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


class RandomController:
    """Proposes architectures in random order until there are no more.

    Args:
        space: what is proposed from.
        seed: decides the order.
    """

    def __init__(self, space: ChoiceSpace, seed: int) -> None:
        self._identity = Identity("random", space, seed)
        self._order = RandomOrder(space, seed)
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
        self._order = RandomOrder(space, self._identity.seed)
        self._order.skip_to(proposed)
        self._best = best
