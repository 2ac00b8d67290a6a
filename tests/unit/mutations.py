"""Valid documents with a few things wrong in them: these find more than random text, which is refused at its start."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st


def _nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 255, 2**31 - 1, 2**31, 2**53 + 1, -(2**63), 2**64, 10**30, -(10**400), 0.0, -0.0,
    0.5, -1.5, 1e-320, 1e-9, 1e16, 1e300, 1.7976931348623157e308, -1e308, float("nan"), float("inf"), float("-inf"),
    "", " ", "0", "1.5ms", "nan", "1e999ms", "40 %%", "zero", "input", "..", "../../etc/passwd", "-rf", "$(touch x)",
    "<script>alert(1)</script>", "\x00", "\x1b[31m", "a\nb", "\u202eabc", "\udcff", "\ud800", "é" * 300, "x" * 20_000,
    "2026-13-45T99:99:99Z", [], [[]], [None], {}, {"": None}, {"a": {"b": [1, {}]}}, [1, 2, 3], ["a", "b"], [1.0, -1.0],
    [float("nan")] * 2, [0] * 500, _nested(60), _nested(250),
)  # fmt: skip
ODD_NAMES = ("", " ", "format", "a", "x" * 300, "\udcff", "\x1b[0m", "<b>", "stage1.block0", "layer", "__class__")


def _copied(value: Any) -> Any:
    """A copy; unlike deepcopy it takes one frame a level."""
    return json.loads(json.dumps(value))


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document, as the keys that lead there; the whole is ()."""
    found = [at]
    if isinstance(document, (dict, list)):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            found += places(value, (*at, key))
    return found


@st.composite
def mutated(draw: st.DrawFn, documents: list[Any], most: int = 3) -> Any:
    """One of the documents after one to `most` changes: a value replaced, dropped, renamed, added, moved."""
    document = _copied(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, most))):
        known = places(document)
        document = _changed(draw, document, known[draw(st.integers(0, len(known) - 1))])
    return document


def _changed(draw: st.DrawFn, document: Any, place: tuple[Any, ...]) -> Any:
    kind = draw(st.sampled_from(("replace", "replace", "replace", "drop", "rename", "add", "twice", "swap")))
    odd = _copied(draw(st.sampled_from(ODD_VALUES)))
    if not place:
        if kind == "add" and isinstance(document, dict):
            return {**document, draw(st.sampled_from(ODD_NAMES)): odd}
        return odd if kind == "swap" else document
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    key = place[-1]
    match kind:
        case "drop":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[draw(st.sampled_from(ODD_NAMES))] = holder.pop(key)
        case "add" if isinstance(holder[key], dict):
            holder[key][draw(st.sampled_from(ODD_NAMES))] = odd
        case "add" if isinstance(holder[key], list):
            holder[key].insert(0, odd)
        case "twice" if isinstance(holder, list):
            holder.append(_copied(holder[key]))
        case "swap":  # with any other value of the document
            others = places(document)
            other = others[draw(st.integers(0, len(others) - 1))]
            value = document
            for part in other:
                value = value[part]
            holder[key] = _copied(value)
        case _:
            holder[key] = odd
    return document
