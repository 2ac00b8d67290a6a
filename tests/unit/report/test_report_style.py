"""The style sheet's colours: every text can be read and every mark seen, in light, in dark and on paper."""

from __future__ import annotations

import re
from importlib import resources

import pytest

STYLE = resources.files("hwnas.report").joinpath("templates/style.css").read_text(encoding="utf-8")
TEXT = [
    ("ink", "paper"),
    ("soft", "paper"),
    ("good", "paper"),
    ("bad", "paper"),
    ("good", "good-back"),
    ("bad", "bad-back"),
]
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


@pytest.mark.parametrize("colours", SCHEMES, ids=("light", "dark", "print"))
def test_contrast(colours):
    for front, back in TEXT + [(f"o{step}", f"h{step}") for step in range(7)]:
        assert contrast(colours[front], colours[back]) >= 4.5, (front, back)
    for mark in ("k1", "k2", "k3", "k4", "k5"):
        assert contrast(colours[mark], colours["paper"]) >= 3, mark


def test_three_schemes_define_the_same_colours():
    assert len(SCHEMES) == 3 and len({frozenset(scheme) for scheme in SCHEMES}) == 1


def test_every_colour_used_is_defined():
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", STYLE))
    defined = set(re.findall(r"--([a-z0-9-]+):", STYLE))
    assert used == defined
