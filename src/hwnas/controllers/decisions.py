"""Which choices of an architecture were decisions: those that a learned distribution has a softmax for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.core.architecture import Architecture, Option
from hwnas.core.choices import Choice, ChoiceSpace


@dataclass(frozen=True, slots=True)
class Drawn:
    """An architecture and how likely the policy that proposed it made it.

    Args:
        architecture: canonical.
        log_probabilities: ln p of the option taken at each of its decisions, in order.
    """

    architecture: Architecture
    log_probabilities: tuple[float, ...]


class Decisions:
    """The options of a space in a row, choice after choice, and which of them were decided.

    A choice that is not live, what follows a removed layer in equal places, and a choice of one option are no
    decisions. So every architecture is reached in one way alone, and the probabilities of all sum to one.

    Args:
        space: the choices.
    """

    def __init__(self, space: ChoiceSpace) -> None:
        self.space = space
        self.counts = [len(choice.options) for choice in space.choices]
        ends = np.cumsum([0, *self.counts]).tolist()
        self.starts: list[int] = ends[:-1]
        self.width: int = ends[-1]
        self.columns = {c.name: slice(a, b) for c, a, b in zip(space.choices, ends, ends[1:], strict=False)}

    def settle(self, choice: Choice, chosen: Sequence[dict[str, Option]]) -> list[int]:
        """Enters an option where only one is possible; returns the rows in which this choice is a decision.

        Args:
            choice: the next of the space.
            chosen: of each row, the options of the choices before.
        """
        open_rows = []
        for row, before in enumerate(chosen):
            options = self.space.options_after(choice, before)
            if len(options) == len(choice.options) > 1:
                open_rows.append(row)
            elif options:
                before[choice.name] = options[0]
        return open_rows

    def of(self, arch: Architecture) -> list[tuple[slice, int]]:
        """Of every decision in order: the place of its choice in the row, and which of its options was taken.

        Raises:
            InputError: the architecture belongs to another space, or does not fit this one.
        """
        options = self.space.canonical(arch).as_dict()
        before: dict[str, Option] = {}
        found = []
        for choice in self.space.choices:
            if self.settle(choice, [before]):
                before[choice.name] = options[choice.name]
                found.append((self.columns[choice.name], choice.options.index(options[choice.name])))
        return found
