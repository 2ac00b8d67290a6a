"""What makes two controllers the same one, and the fields of their states that come back from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hwnas.core.architecture import Architecture
from hwnas.core.choices import ChoiceSpace
from hwnas.core.errors import FileFormatError, InputError, quoted

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Scored = tuple[Architecture, float]
LARGEST_SCORE = 1e30  # its square is a number, too
_MOST = 2**53


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides everything that a controller does, besides what it observes.

    Args:
        kind: "random", "evolution", "guided", "reinforce" or "recurrent".
        space: the choices.
        seed: everything random is drawn from it.
        settings: a frozen dataclass of plain values; None where nothing can be set.
    """

    kind: str
    space: ChoiceSpace
    seed: int
    settings: DataclassInstance | None = None

    def state(self, learned: Mapping[str, Any]) -> dict[str, Any]:
        """What was learned, with whose it is."""
        return {**self._own(), **learned}

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuses the state of another controller.

        Raises:
            FileFormatError: names the first field that differs.
        """
        for name, own in self._own().items():
            if name not in state or state[name] != own:
                found = quoted(state[name]) if name in state else "nothing"
                raise FileFormatError(f"state of a controller: {name!r} is {found}, and here {quoted(own)}")

    def _own(self) -> dict[str, Any]:
        settings = asdict(self.settings) if self.settings is not None else {}
        return {"controller": self.kind, "space": self.space.name, "seed": self.seed, "settings": settings}


def check_scores(scored: Sequence[Scored]) -> None:
    """Refuses scores that cannot be compared.

    Raises:
        InputError: names the architecture.
    """
    for arch, score in scored:
        if not abs(score) <= LARGEST_SCORE:  # NaN is none either
            raise InputError(f"architecture {arch.id} has the score {score}: a controller learns from finite ones")


def best_of(best: Scored | None, scored: Sequence[Scored]) -> Scored | None:
    """The best of what was observed before and now; of equal ones the first."""
    return max([*([best] if best else []), *scored], key=lambda one: one[1], default=None)


def delivered(best: Scored | None) -> Architecture:
    """The best that was observed.

    Raises:
        InputError: nothing was.
    """
    if best is None:
        raise InputError("a controller that has observed nothing has no best guess: give it scores first")
    return best[0]


def scored_to_json(one: Scored) -> list[Any]:
    """A scored architecture as plain values; `scored_from_json` is its inverse."""
    return [one[0].to_json(), one[1]]


def scored_from_json(data: Any, space: ChoiceSpace) -> Scored:
    """Reads what `scored_to_json` wrote.

    Raises:
        FileFormatError: the architecture is none.
        InputError: it does not fit the space.
        TypeError, ValueError: it is something else.
    """
    arch, score = data
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not abs(score) <= LARGEST_SCORE:
        raise ValueError(f"{quoted(score)} is no score")
    return space.canonical(Architecture.from_json(arch)), float(score)


def whole(value: Any, most: int = _MOST) -> int:
    """A whole number from zero to `most`; raises ValueError where it is something else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{quoted(value)} is no whole number from zero to {most}")
    return value
