"""The style sheet's colours: every text can be read and every mark seen, in light, in dark and on paper."""

from __future__ import annotations

import re

import pytest

from hwnas.report.styles import style_sheet

STYLE = style_sheet("palette.css") + style_sheet("style.css")
TEXT = [
    ("ink", "paper"),
    ("soft", "paper"),
    ("good", "paper"),
    ("bad", "paper"),
    ("good", "good-back"),
    ("bad", "bad-back"),
    ("ink", "sheet"),
    ("k1", "paper"),
]
MARKS = ("k1", "k2", "k3", "k4", "k5")
SCHEMES = [
    {name: value for name, value in re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block)}
    for block in re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
]


def luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """The contrast ratio of WCAG 2."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def over(front: str, back: str, opacity: float) -> str:
    """A colour that is painted over another, not opaque."""
    pairs = [(int(front[start : start + 2], 16), int(back[start : start + 2], 16)) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(opacity * a + (1 - opacity) * b):02x}" for a, b in pairs)


def opacity_of(selector: str, key: str) -> float:
    """A rule's opacity, as the style sheet says."""
    rule = re.search(rf"{re.escape(selector)} \{{[^}}]*\b{key}: ([0-9.]+)", STYLE)
    assert rule, selector
    return float(rule[1])


def shades(colours: dict[str, str], block: str) -> dict[str, str]:
    """The tints that lie over the paper: the searched network's row, and what is over the budget."""
    tints = re.findall(r"--(band|over): rgba\((\d+), (\d+), (\d+), ([0-9.]+)\)", block)
    return {
        name: over("#" + "".join(f"{int(part):02x}" for part in parts), colours["paper"], float(opacity))
        for name, *parts, opacity in tints
    }


@pytest.mark.parametrize("index", range(3), ids=("light", "dark", "print"))
def test_contrast(index):
    colours = SCHEMES[index]
    tinted = shades(colours, re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)[index])
    assert set(tinted) == {"band", "over"}
    pairs = [(colours[front], colours[back]) for front, back in TEXT]
    pairs += [(colours[f"o{step}"], colours[f"h{step}"]) for step in range(7)]
    pairs += [(colours[front], tinted["band"]) for front in ("ink", "soft", "good", "bad")]
    assert min(contrast(*pair) for pair in pairs) >= 4.5, min(pairs, key=lambda pair: contrast(*pair))
    marks = [(colours[mark], back) for mark in MARKS for back in (colours["paper"], *tinted.values())]
    marks += [(colours[mark], colours["paper"]) for mark in ("bad", "ink", "soft")]  # budget, ring, diagonal
    for selector, key, drawn in (
        (".whisker", "opacity", MARKS), (".point.faint", "fill-opacity", MARKS), (".axis", "opacity", ("soft",)),
        (".chain", "opacity", ("soft",)), (".box", "stroke-opacity", ("k1",)),
    ):  # fmt: skip
        seen = opacity_of(selector, key)
        marks += [(over(colours[one], colours["paper"], seen), colours["paper"]) for one in drawn]
    assert min(contrast(*pair) for pair in marks) >= 3, min(marks, key=lambda pair: contrast(*pair))


def test_three_schemes_define_the_same_colours():
    assert len(SCHEMES) == 3 and len({frozenset(scheme) for scheme in SCHEMES}) == 1


def test_every_colour_used_is_defined():
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", STYLE))
    defined = set(re.findall(r"--([a-z0-9-]+):", STYLE))
    assert used == defined
