"""A network as a strip of bars, from the image on the left to the scores on the right: an SVG file of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from hwnas.report import wording
from hwnas.report.drawing import Block, heat_class, heat_scale
from hwnas.report.styles import style_sheet
from hwnas.report.svg import line, tag, words

_WIDTH, _TALLEST, _LOWEST, _GAP = 960.0, 110.0, 14.0, 2.0  # pixels
_CHARACTER = 5.1  # pixels down, of a turned label
_RULES = """
text { font: 11px -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }
text { fill: var(--soft); }
text.title { font-size: 15px; font-weight: 600; fill: var(--ink); }
text.facts { font-size: 12px; }
.paper { fill: var(--paper); }
.bar { stroke: var(--k1); stroke-opacity: .8; stroke-width: 1; }
.base { stroke: var(--soft); stroke-width: 1; opacity: .5; }
"""


def network_strip(title: str, facts: str, blocks: Sequence[Block]) -> str:
    """The network as an SVG file: taller is a larger map, wider is more channels, darker is more of the MACs.

    Args:
        title: the network's name.
        facts: one line of figures under it.
        blocks: of the network, in order.
    """
    left, top = 28.0, 76.0
    base = top + _TALLEST
    widths = _widths(blocks, _WIDTH - 2 * left)
    heaviest = max((block.macs or 0.0 for block in blocks), default=0.0) or 1.0
    total = sum(block.macs or 0.0 for block in blocks) or 1.0
    largest = max((_side(block) for block in blocks), default=1)
    height = base + 26 + _CHARACTER * max((len(block.short) for block in blocks), default=0)
    parts = [
        tag("rect", width=_WIDTH, height=height, rx=8, class_="paper"),
        words(left, 26, title, "title"),
        words(left, 46, facts, "facts"),
        _legend(_WIDTH - left, 18),
    ]
    x, size = left, ""
    for block, width in zip(blocks, widths, strict=True):
        tall = _LOWEST + (_TALLEST - _LOWEST) * math.sqrt(_side(block) / largest)
        macs = block.macs or 0.0
        share = f"{wording.short_count(macs, 'MACs')}, {wording.percent(macs / total)}"
        hint = tag("title", f"{block.name}: {block.says}\n{share}")
        heat = heat_class(math.sqrt(macs), math.sqrt(heaviest))
        parts.append(tag("rect", hint, x=x, y=base - tall, width=width, height=tall, rx=2, class_=f"bar {heat}"))
        middle = x + width / 2
        turned = f"rotate(-60 {middle + 3:.1f} {base + 11:.1f})"
        parts.append(tag("text", block.short, x=middle + 3, y=base + 11, text_anchor="end", transform=turned))
        if block.map_size != size:
            parts.append(words(x, base - tall - 5, block.map_size))
            size = block.map_size
        x += width + _GAP
    parts.append(line(left, base, x - _GAP, base, "base"))
    description = "; ".join(f"{block.name}: {block.says}" for block in blocks)
    return str(
        tag(
            "svg",
            tag("title", title),
            tag("desc", f"From the image to the class scores: {description}"),
            tag("style", Markup(style_sheet("palette.css") + _RULES)),  # noqa: S704 - our own files
            *parts,
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {_WIDTH:g} {height:g}",
            width=_WIDTH,
            height=height,
            role="img",
        )
    )


def _widths(blocks: Sequence[Block], room: float) -> list[float]:
    """The width of every bar, by a root of its channels, so that all have room for their words; they fill the room."""
    roots = [(block.channels or 64) ** 0.4 for block in blocks]
    scale = (room - _GAP * (len(blocks) - 1)) / sum(roots) if roots else 0.0
    return [scale * root for root in roots]


def _side(block: Block) -> int:
    return int(block.map_size.split("×")[0]) if block.map_size else 1


def _legend(right: float, y: float) -> Markup:
    scale = tag("g", heat_scale(), transform=f"translate({right - 190:g} {y:g})")
    return tag("g", words(right - 198, y + 9, "MACs: little", None, "end"), scale, words(right - 58, y + 9, "much"))
