"""Choices: named decisions with finite options, some live only under a condition; and the space they span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np

from hwnas.core.architecture import Architecture, Option
from hwnas.core.errors import InputError, quoted


@dataclass(frozen=True, slots=True)
class Condition:
    """Live only while an earlier choice has one of these values."""

    choice: str
    values: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A named decision with finite options.

    Args:
        name: unique in its space, for example "stage2.block1".
        options: at least one, all different.
        condition: when the choice is live; None means always.
    """

    name: str
    options: tuple[Option, ...]
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class EqualPlaces:
    """Places in a row that all read and write the same shape, so that which of them are removed makes no difference.

    Networks that differ in that alone are one: in the canonical form the layers that stay keep their order and stand
    first, the removed ones last.

    Args:
        choices: one for each place, in order; all with the same options, always live.
        removed: the option that leaves a place out.
    """

    choices: tuple[str, ...]
    removed: Option


@dataclass(frozen=True)
class ChoiceSpace:
    """The ordered choices of a search space: sample, mutate, cross, encode, canonical form, size.

    Args:
        name: name and version, for example "toy@1"; every Architecture carries it.
        choices: a condition may only name an earlier choice.
        equal_places: none has a choice in common with another; () where every place counts as one of its own.

    Raises:
        InputError: duplicate names or options, no options, a condition on a later or unknown choice, or equal places
            whose choices are not alike.
    """

    name: str
    choices: tuple[Choice, ...]
    equal_places: tuple[EqualPlaces, ...] = ()
    _by_name: dict[str, Choice] = field(init=False, repr=False, compare=False)
    _places_of: dict[str, EqualPlaces] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        seen: dict[str, Choice] = {}
        for choice in self.choices:
            if choice.name in seen:
                raise InputError(f"space {self.name}: two choices are named {choice.name!r}")
            if not choice.options or len(set(choice.options)) != len(choice.options):
                raise InputError(f"space {self.name}: choice {choice.name!r} needs options that are all different")
            if choice.condition is not None and choice.condition.choice not in seen:
                raise InputError(f"space {self.name}: choice {choice.name!r} depends on no earlier choice")
            seen[choice.name] = choice
        object.__setattr__(self, "_by_name", seen)
        object.__setattr__(self, "_places_of", self._checked_places())

    def __getitem__(self, name: str) -> Choice:
        return self._by_name[name]

    def architecture(self, options: Mapping[str, Option]) -> Architecture:
        """The canonical Architecture with these options: not live ones dropped, removed ones of equal places last.

        Raises:
            InputError: a live choice is missing, or an option or choice is unknown.
        """
        for name in options:
            if name not in self._by_name:
                raise InputError(f"space {self.name} has no choice {quoted(name)}")
        chosen: dict[str, Option] = {}
        for choice in self.choices:
            if not self._live(choice, chosen):
                continue
            if choice.name not in options:
                raise InputError(f"space {self.name}: choice {choice.name!r} is missing")
            option = options[choice.name]
            if option not in choice.options:
                known = ", ".join(str(o) for o in choice.options)
                raise InputError(f"space {self.name}: {choice.name!r} has no option {quoted(option)}; it has {known}")
            chosen[choice.name] = option
        return self._settled(chosen)

    def canonical(self, arch: Architecture) -> Architecture:
        """The architecture with choices in order, not live ones dropped, removed equal places last. Idempotent.

        Raises:
            InputError: the architecture belongs to another space or version, or does not fit this one.
        """
        if arch.space != self.name:
            raise InputError(f"the architecture belongs to space {quoted(arch.space)}, not to {self.name!r}")
        return self.architecture(arch.as_dict())

    def sample(self, rng: np.random.Generator) -> Architecture:
        """The canonical form of an architecture with every live choice drawn uniformly.

        Among equal places, networks that can be written in several ways are drawn that much more often.
        """
        return self._fill({}, rng)

    def sample_spread(self, rng: np.random.Generator, skip: Option = "zero") -> Architecture:
        """An architecture from a distribution drawn anew, so that costs spread far wider than under `sample`.

        One skip probability U(0, 0.7) and one Dirichlet(0.5) over the other options hold for all choices of the draw.
        Uniform sampling in a deep space gives networks of nearly equal cost, on which no cost model can be judged.
        """
        others = sorted({option for choice in self.choices for option in choice.options if option != skip}, key=str)
        shares = dict(zip(others, rng.dirichlet(np.full(len(others), 0.5)) + 1e-9, strict=True))
        skip_probability = rng.uniform(0.0, 0.7)
        drawn: dict[str, Option] = {}
        for choice in self.choices:
            rest = [option for option in choice.options if option != skip]
            if skip in choice.options and (not rest or rng.random() < skip_probability):
                drawn[choice.name] = skip
            else:
                weights = np.asarray([shares[option] for option in rest])
                drawn[choice.name] = rest[int(rng.choice(len(rest), p=weights / weights.sum()))]
        return self._fill(drawn, rng)

    def mutate(self, arch: Architecture, rng: np.random.Generator, rate: float = 0.1) -> Architecture:
        """Redraws each live choice with probability `rate`, at least one; the result differs where it can."""
        arch = self.canonical(arch)
        options = arch.as_dict()
        movable = [name for name in options if len(self[name].options) > 1]
        if not movable:
            return arch
        picked = [name for name in movable if rng.random() < rate] or [movable[int(rng.integers(len(movable)))]]
        for name in picked:
            others = [option for option in self[name].options if option != options[name]]
            options[name] = others[int(rng.integers(len(others)))]
        mutant = self._fill(options, rng)
        # Two changes in equal places can undo each other; one alone never does.
        return mutant if mutant != arch else self.mutate(arch, rng, rate=0.0)

    def cross(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Takes each choice from one of two parents at random; choices live in neither are drawn."""
        first, second = self.canonical(a).as_dict(), self.canonical(b).as_dict()
        options: dict[str, Option] = {}
        for choice in self.choices:
            parents = [parent for parent in (first, second) if choice.name in parent]
            if parents:
                options[choice.name] = parents[int(rng.integers(len(parents)))][choice.name]
        return self._fill(options, rng)

    def encode(self, arch: Architecture) -> np.ndarray:
        """One-hot row vector over all choices, float32, shape (sum of option counts,); not live choices are zero."""
        row = np.zeros(len(self._columns), dtype=np.float32)
        row[[self._columns[pair] for pair in self.canonical(arch).choices]] = 1.0
        return row

    def size(self) -> int:
        """The exact number of canonical architectures."""
        ways = prod(self._subtree_size(choice) for choice in self._roots())
        return ways * prod(sum(self._placements(places)) for places in self.equal_places)

    def architecture_at(self, index: int) -> Architecture:
        """The canonical architecture of a number: each has one from 0 to `size() - 1`, and every number is one's.

        A number drawn uniformly is a network drawn uniformly, which `sample` is not: that draws what can be written in
        several ways more often, and what lies in a small branch of a condition.

        Raises:
            InputError: no such number.
        """
        if not 0 <= index < self.size():
            raise InputError(f"space {self.name} has architectures 0 to {self.size() - 1}, not {quoted(index)}")
        options: dict[str, Option] = {}
        for root in self._roots():
            index, own = divmod(index, self._subtree_size(root))
            self._place_subtree(root, own, options)
        for places in self.equal_places:
            kept = [option for option in self[places.choices[0]].options if option != places.removed]
            index, own = divmod(index, sum(self._placements(places)))
            depth, rank = _bucket(self._placements(places), own)
            options.update(dict.fromkeys(places.choices, places.removed))
            for name in places.choices[:depth]:
                rank, column = divmod(rank, len(kept))
                options[name] = kept[column]
        return self.architecture(options)

    def size_with_inactive(self) -> int:
        """The product of all option counts, as papers count that give a value to choices that are not live, too."""
        return prod(len(choice.options) for choice in self.choices)

    def enumerate(self) -> Iterator[Architecture]:
        """Every canonical architecture once, in a fixed order. Meant for small spaces."""

        def walk(index: int, chosen: dict[str, Option]) -> Iterator[Architecture]:
            if index == len(self.choices):
                yield Architecture(self.name, tuple(chosen.items()))
                return
            choice = self.choices[index]
            options = self.options_after(choice, chosen)
            if not options:
                yield from walk(index + 1, chosen)
            for option in options:
                yield from walk(index + 1, {**chosen, choice.name: option})

        return walk(0, {})

    def options_after(self, choice: Choice, chosen: Mapping[str, Option]) -> tuple[Option, ...]:
        """The options that lead to a canonical architecture after those of the choices before.

        None where the choice is not live; the removal alone where an earlier one of its equal places is removed.
        """
        if not self._live(choice, chosen):
            return ()
        places = self._places_of.get(choice.name)
        if places and any(chosen.get(name) == places.removed for name in places.choices):
            return (places.removed,)
        return choice.options

    def _live(self, choice: Choice, chosen: Mapping[str, Option]) -> bool:
        condition = choice.condition
        return condition is None or chosen.get(condition.choice) in condition.values

    def _fill(self, options: Mapping[str, Option], rng: np.random.Generator) -> Architecture:
        chosen: dict[str, Option] = {}
        for choice in self.choices:
            if self._live(choice, chosen):
                drawn = choice.options[int(rng.integers(len(choice.options)))]
                chosen[choice.name] = options.get(choice.name, drawn)
        return self._settled(chosen)

    def _settled(self, chosen: dict[str, Option]) -> Architecture:
        """The architecture of the options of live choices, given in order; removed equal places go last."""
        for places in self.equal_places:
            options = sorted((chosen[name] for name in places.choices), key=lambda option: option == places.removed)
            chosen.update(zip(places.choices, options, strict=True))
        return Architecture(self.name, tuple(chosen.items()))

    def _checked_places(self) -> dict[str, EqualPlaces]:
        """Which equal places each choice belongs to."""
        found: dict[str, EqualPlaces] = {}
        conditions = {choice.condition.choice for choice in self.choices if choice.condition is not None}
        order = list(self._by_name)
        for places in self.equal_places:
            known = all(name in self._by_name and name not in found for name in places.choices)
            if not known or sorted(set(places.choices), key=order.index) != list(places.choices):
                raise InputError(
                    f"space {self.name}: equal places {places.choices} are not choices in order, once each"
                )
            members = [self[name] for name in places.choices]
            alike = all(set(choice.options) == {*members[0].options, places.removed} for choice in members)
            if not alike or any(choice.condition or choice.name in conditions for choice in members):
                raise InputError(
                    f"space {self.name}: equal places {places.choices} need the same options, {places.removed!r} among "
                    "them, and no conditions"
                )
            found.update(dict.fromkeys(places.choices, places))
        return found

    def _roots(self) -> list[Choice]:
        """The choices that are always live, but for equal places."""
        return [choice for choice in self.choices if choice.condition is None and choice.name not in self._places_of]

    @cached_property
    def _columns(self) -> dict[tuple[str, Option], int]:
        """The place of every option in an encoded row."""
        pairs = ((choice.name, option) for choice in self.choices for option in choice.options)
        return {pair: column for column, pair in enumerate(pairs)}

    @cached_property
    def _children(self) -> dict[str, list[list[Choice]]]:
        """The choices that depend on each choice, for each of its options."""
        conditions = [(choice, choice.condition) for choice in self.choices]
        return {
            choice.name: [
                [child for child, c in conditions if c and c.choice == choice.name and option in c.values]
                for option in choice.options
            ]
            for choice in self.choices
        }

    @cached_property
    def _ways(self) -> dict[str, list[int]]:
        """How many ways there are to settle all that depends on each choice, for each of its options."""
        ways: dict[str, list[int]] = {}
        for choice in reversed(self.choices):  # what depends on a choice comes after it
            ways[choice.name] = [prod(sum(ways[c.name]) for c in children) for children in self._children[choice.name]]
        return ways

    def _subtree_size(self, choice: Choice) -> int:
        return sum(self._ways[choice.name])

    def _place_subtree(self, choice: Choice, index: int, options: dict[str, Option]) -> None:
        """Enters the options of a choice, and of all that depend on it, for one of their `_subtree_size` ways."""
        column, index = _bucket(self._ways[choice.name], index)
        options[choice.name] = choice.options[column]
        for child in self._children[choice.name][column]:
            index, own = divmod(index, self._subtree_size(child))
            self._place_subtree(child, own, options)

    def _placements(self, places: EqualPlaces) -> list[int]:
        """How many canonical arrangements of equal places keep none of them, one, two and so on."""
        kept = len(self[places.choices[0]].options) - 1
        return [kept**depth for depth in range(len(places.choices) + 1)]


def _bucket(sizes: list[int], index: int) -> tuple[int, int]:
    """Which of several sizes in a row an index falls into, and where in it."""
    for bucket, size in enumerate(sizes):
        if index < size:
            return bucket, index
        index -= size
    raise IndexError(index)
