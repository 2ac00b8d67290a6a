"""Choices: named decisions with finite options, some live only under a condition; and the space they span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class ChoiceSpace:
    """The ordered choices of a search space: sample, mutate, cross, encode, canonical form, size.

    Args:
        name: name and version, for example "toy@1"; every Architecture carries it.
        choices: a condition may only name an earlier choice.

    Raises:
        InputError: duplicate names or options, no options, or a condition on a later or unknown choice.
    """

    name: str
    choices: tuple[Choice, ...]
    _by_name: dict[str, Choice] = field(init=False, repr=False, compare=False)

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

    def __getitem__(self, name: str) -> Choice:
        return self._by_name[name]

    def architecture(self, options: Mapping[str, Option]) -> Architecture:
        """The canonical Architecture with these options: those that are not live are dropped.

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
        return Architecture(self.name, tuple(chosen.items()))

    def canonical(self, arch: Architecture) -> Architecture:
        """The architecture with choices in order and those that are not live dropped. Idempotent.

        Raises:
            InputError: the architecture belongs to another space or version, or does not fit this one.
        """
        if arch.space != self.name:
            raise InputError(f"the architecture belongs to space {quoted(arch.space)}, not to {self.name!r}")
        return self.architecture(arch.as_dict())

    def sample(self, rng: np.random.Generator) -> Architecture:
        """An architecture with every live choice drawn uniformly."""
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
        options = dict(self.canonical(arch).choices)
        movable = [name for name in options if len(self[name].options) > 1]
        if not movable:
            return arch
        picked = [name for name in movable if rng.random() < rate] or [movable[int(rng.integers(len(movable)))]]
        for name in picked:
            others = [option for option in self[name].options if option != options[name]]
            options[name] = others[int(rng.integers(len(others)))]
        return self._fill(options, rng)

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
        options = self.canonical(arch).as_dict()
        bits = [float(options.get(choice.name) == option) for choice in self.choices for option in choice.options]
        return np.asarray(bits, dtype=np.float32)

    def size(self) -> int:
        """The exact number of canonical architectures."""
        total = 1
        for choice in self.choices:
            if choice.condition is None:
                total *= self._subtree_size(choice)
        return total

    def enumerate(self) -> Iterator[Architecture]:
        """Every canonical architecture once, in a fixed order. Meant for small spaces."""

        def walk(index: int, chosen: dict[str, Option]) -> Iterator[Architecture]:
            if index == len(self.choices):
                yield Architecture(self.name, tuple(chosen.items()))
                return
            choice = self.choices[index]
            if not self._live(choice, chosen):
                yield from walk(index + 1, chosen)
                return
            for option in choice.options:
                yield from walk(index + 1, {**chosen, choice.name: option})

        return walk(0, {})

    def _live(self, choice: Choice, chosen: Mapping[str, Option]) -> bool:
        condition = choice.condition
        return condition is None or chosen.get(condition.choice) in condition.values

    def _fill(self, options: Mapping[str, Option], rng: np.random.Generator) -> Architecture:
        chosen: dict[str, Option] = {}
        for choice in self.choices:
            if self._live(choice, chosen):
                drawn = choice.options[int(rng.integers(len(choice.options)))]
                chosen[choice.name] = options.get(choice.name, drawn)
        return Architecture(self.name, tuple(chosen.items()))

    def _subtree_size(self, choice: Choice) -> int:
        children = [c for c in self.choices if c.condition is not None and c.condition.choice == choice.name]
        total = 0
        for option in choice.options:
            ways = 1
            for child in children:
                if child.condition is not None and option in child.condition.values:
                    ways *= self._subtree_size(child)
            total += ways
        return total
