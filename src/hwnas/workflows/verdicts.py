"""Networks on one target, held against each other: which is the best inside a budget, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hwnas.core.errors import fields_of
from hwnas.report import wording
from hwnas.workflows.statistics import mean_interval, paired_difference

Kind = Literal["best", "fastest", "only-inside", "beaten", "over-budget", "alone", "unknown"]
AT_HOME: tuple[Kind, ...] = ("best", "fastest", "only-inside")  # these stand first on their own target
UNCOMPARED: tuple[Kind, ...] = ("alone", "unknown")


@dataclass(frozen=True)
class Cell:
    """A network's file on a target, timed in the same sessions as the others there.

    Args:
        median_ms: of the sessions.
        interval_ms: 95 %, of their mean.
        sessions_ms: the latency in each.
        file_sha256: of the file.
        correct: for each test image whether it is classified as it should be, in this precision.
        doubts: why the latency may not be trusted, and what to do; empty where nothing speaks against it.
    """

    median_ms: float
    interval_ms: tuple[float, float]
    sessions_ms: tuple[float, ...]
    file_sha256: str
    correct: tuple[bool, ...]
    doubts: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float:
        """On the test images, 0 to 1."""
        return sum(self.correct) / len(self.correct)

    def inside(self, budget_ms: float) -> bool:
        """Whether the upper end of the interval is within the budget."""
        return self.interval_ms[1] <= budget_ms

    def slower(self, other: Cell) -> tuple[float, tuple[float, float]]:
        """By which share of its latency the other one is slower, negative for faster, with its 95 % interval.

        Session by session: what moves a session moves both.
        """
        return mean_interval([b / a - 1 for a, b in zip(self.sessions_ms, other.sessions_ms, strict=True)])


@dataclass(frozen=True)
class Column:
    """Networks on one target, by the directory of the fit that delivered each.

    Args:
        target: its name.
        precision: of its engine; "" where it could not be opened.
        cells: what was measured.
        reasons: why others were not.
    """

    target: str
    precision: str
    cells: Mapping[str, Cell]
    reasons: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain values; `from_json` reads them."""
        cells = {
            name: {
                "median_ms": cell.median_ms, "interval_ms": list(cell.interval_ms),
                "sessions_ms": list(cell.sessions_ms), "file_sha256": cell.file_sha256,
                "correct": "".join("01"[right] for right in cell.correct), "doubts": list(cell.doubts),
            }
            for name, cell in self.cells.items()
        }  # fmt: skip
        return {"target": self.target, "precision": self.precision, "cells": cells, "reasons": dict(self.reasons)}

    @staticmethod
    def from_json(data: Mapping[str, Any], where: object) -> Column:
        """What `to_json` wrote.

        Raises:
            FileFormatError: a field is missing or wrong; names `where`.
        """
        with fields_of(where):
            cells = {
                name: Cell(
                    float(row["median_ms"]), (float(row["interval_ms"][0]), float(row["interval_ms"][1])),
                    tuple(map(float, row["sessions_ms"])), str(row["file_sha256"]),
                    tuple(sign == "1" for sign in row["correct"]), tuple(map(str, row["doubts"])),
                )
                for name, row in data["cells"].items()
            }  # fmt: skip
            return Column(str(data["target"]), str(data["precision"]), cells, dict(data["reasons"]))


@dataclass(frozen=True)
class Verdict:
    """How a network stands on the target that it was found for.

    Args:
        kind: "best": of those inside the budget none is more accurate, or as accurate and faster; "fastest": at its
            accuracy, and others inside are more accurate and slower; "only-inside": no other is inside; "beaten": one
            inside is at least as accurate and faster; "over-budget": not inside itself; "alone": nothing else was
            measured there; "unknown": it was not measured there itself.
        says: the same as a sentence, with figures.
    """

    kind: Kind
    says: str


def verdict(own: str, column: Column, budget_ms: float, labels: Mapping[str, str]) -> Verdict:
    """How a network stands on its own target.

    Args:
        own: the network.
        column: of its target.
        budget_ms: that it was found for.
        labels: of all networks, for readers.
    """
    on, limit = f"On {labels[own]}", f"the budget of {wording.limit(budget_ms)}"
    cell = column.cells.get(own)
    if cell is None:
        return Verdict("unknown", f"{on} its own network was not measured: {column.reasons.get(own, '')}")
    inside = {name: one for name, one in column.cells.items() if one.inside(budget_ms)}
    if own not in inside:
        others = f"inside: {_listed(inside, labels)}" if inside else "so is every other"
        latency = f"{wording.milliseconds(cell.median_ms)}, up to {wording.milliseconds(cell.interval_ms[1])}"
        return Verdict("over-budget", f"{on} its own network ({latency}) is not inside {limit}; {others}.")
    if len(column.cells) == 1:
        return Verdict("alone", f"{on} no other network was measured.")
    same = {name: one for name, one in inside.items() if name != own and one.file_sha256 == cell.file_sha256}
    also = f" The very same one was found for {_listed(same, labels)}." if same else ""
    rivals = {name: one for name, one in inside.items() if name != own and name not in same}
    if not rivals:
        return Verdict("only-inside", f"{on} no other network than its own is inside {limit}.{also}")
    better = [name for name in rivals if rivals[name].accuracy >= cell.accuracy and cell.slower(rivals[name])[0] < 0]
    if better:
        first = max(better, key=lambda name: (rivals[name].accuracy, -rivals[name].median_ms))
        how = _difference(cell, rivals[first])
        return Verdict("beaten", f"{on} the network of {labels[first]} does better than its own: it is {how}.{also}")
    ahead = [name for name in rivals if rivals[name].accuracy > cell.accuracy]
    if not ahead:
        said = f"{on} its own network is the best inside {limit}: none is more accurate, or as accurate and faster."
        return Verdict("best", said + also)
    first = max(ahead, key=lambda name: rivals[name].accuracy)
    how = _difference(cell, rivals[first])
    said = f"{on} none inside {limit} that is at least as accurate as its own network is faster;"
    return Verdict("fastest", f"{said} that of {labels[first]} is {how}.{also}")


def _difference(own: Cell, other: Cell) -> str:
    """How another network differs: "faster by 3.1 % (95 % interval 2.0 to 4.2) and more accurate by 0.2 points (…)"."""
    share, interval = own.slower(other)
    low, high = sorted(interval if share > 0 else (-interval[0], -interval[1]))
    way, shown = "slower" if share > 0 else "faster", wording.decimals(100 * abs(share), 1)
    range_ = f"{wording.decimals(100 * low, 1)} to {wording.decimals(100 * high, 1)}"
    speed = f"{way} by {shown}\u00a0% (95\u00a0% interval {range_})"
    difference, (lower, upper) = paired_difference(other.correct, own.correct)
    around = f"(95\u00a0% interval {wording.points(lower)} to {wording.points(upper)})"
    if not difference:
        return f"{speed} and as accurate {around}"
    way = "more" if difference > 0 else "less"
    return f"{speed} and {way} accurate by {wording.decimals(100 * abs(difference), 1)} points {around}"


def _listed(names: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    return ", ".join(labels[name] for name in names)
