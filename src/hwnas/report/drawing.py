"""Drawings of architectures: the delivered network block by block, and the gates that chose it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hwnas.report import wording
from hwnas.report.reading import mapping, number, rows, shortened, text
from hwnas.report.svg import figure, line, polyline, tag, words

HEAT_STEPS = 7  # classes heat0 … heat6 of the style sheet
MOST_BLOCKS = 160
MOST_CHOICES = 120
FEWEST_LINES = 3  # of gates, to say since when an option has led


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the delivered network.

    Args:
        name: the node's name.
        says: what it is, in words.
        short: kernel, expansion and width, short enough for a box.
        channels: of its output, or None.
        map_size: "14×14" or "".
        latency_ms: by the latency model.
        share: of the model's latency, 0 to 1.
        params: count.
        macs: count.
    """

    name: str
    says: str
    short: str
    channels: int | None
    map_size: str
    latency_ms: float | None
    share: float | None
    params: float | None
    macs: float | None


def blocks_of(result: Mapping[str, Any]) -> list[Block]:
    """The blocks of a result; kernel, expansion, width and map size are read from their words."""
    return [_block(row) for row in rows(result.get("blocks"))[:MOST_BLOCKS]]


def network_drawing(blocks: Sequence[Block], choices: Mapping[str, Any] | None = None) -> Markup | None:
    """The network as a chain of boxes: wider is more channels, darker is more latency.

    Args:
        blocks: of the network, in order.
        choices: option by choice; the layers that were left out are drawn, too, where they would have been.
    """
    if not blocks:
        return None
    known = any(block.latency_ms is not None for block in blocks)
    slowest = max((block.latency_ms or 0.0 for block in blocks), default=0.0)
    widest = max((block.channels or 1 for block in blocks), default=1)
    heaviest = max((block.share or 0.0 for block in blocks), default=0.0) or 1.0
    y, centre = 40.0, 226.0
    heads = (
        (0, "block", None),
        (centre, "kernel · expansion · channels", "middle"),
        (380, "map", "end"),
        (460, "latency, ms" if known else "", "end"),
    )
    parts = [words(x, 14, said, "axis-title", anchor) for x, said, anchor in heads]
    parts.append(_arrow(centre, 24, y))
    for block, skipped in _with_left_out(blocks, choices or {}):
        if block is None:
            box = tag("rect", x=centre - 40, y=y, width=80, height=20, rx=6, class_="box left-out")
            parts.append(tag("g", box, words(centre, y + 14, "left out", "small", "middle")))
            parts.append(words(0, y + 14, shortened(skipped, 17), "tick"))
            parts.append(_arrow(centre, y + 20, y + 34))
            y += 34
            continue
        width = 104 + 106 * math.sqrt((block.channels or 1) / widest)
        heat = heat_class(block.share or 0.0, heaviest)
        title = tag("title", f"{block.name}: {block.says}\n{_share_words(block)}")
        box = tag("rect", x=centre - width / 2, y=y, width=width, height=28, rx=6, class_=f"box {heat}")
        parts.append(tag("g", title, box, words(centre, y + 18.5, shortened(block.short, 27), f"on-{heat}", "middle")))
        parts.append(words(0, y + 18.5, shortened(block.name, 17), "tick-dark"))
        parts.append(words(380, y + 18.5, block.map_size, "tick", "end"))
        if known:
            parts.append(words(460, y + 18.5, wording.like(block.latency_ms, slowest), "tick-dark", "end"))
        parts.append(_arrow(centre, y + 28, y + 42))
        y += 42
    height = y + 18
    parts.append(words(centre, height - 5, "class scores", "tick", "middle"))
    description = "From the image at the top to the class scores at the bottom: " + "; ".join(
        f"{block.name}: {block.says}" for block in blocks
    )
    return figure("network", f"The delivered network, {len(blocks)} blocks", description[:4000], 460, height, *parts)


def gate_strip(lines: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any]) -> Markup | None:
    """The last probabilities of every choice as a strip of cells, and since which step its winner has led.

    Args:
        lines: metrics with "gates", in order.
        chosen: the delivered option by choice; its cell is framed.
    """
    if not lines:
        return None
    last = {choice: _probabilities(options) for choice, options in mapping(lines[-1].get("gates")).items()}
    last = {choice: options for choice, options in list(last.items())[:MOST_CHOICES] if options}
    columns = list(dict.fromkeys(option for options in last.values() for option in options))[:16]
    if not columns:
        return None
    left, right, row_height = 110.0, 72.0, 22.0
    cell = (460 - left - right) / len(columns)
    parts = [words(left + cell * (index + 0.5), 14, shortened(option, max(int(cell / 6), 2)), "axis-title", "middle")
             for index, option in enumerate(columns)]  # fmt: skip
    if len(lines) >= FEWEST_LINES:
        parts.append(words(460, 14, "since step", "axis-title", "end"))
    for index, (choice, options) in enumerate(last.items()):
        y = 24 + row_height * index
        parts.append(words(0, y + 13.5, shortened(choice, 17), "tick-dark"))
        for column, option in enumerate(columns):
            if option in options:
                delivered = str(chosen.get(choice)) == option
                parts.append(_cell(left + cell * column, y, cell - 2, choice, option, options[option], delivered))
        parts.append(words(460, y + 13.5, _led_since(lines, choice, options), "tick", "end"))
    height = 24 + row_height * len(last) + 4
    description = "The likeliest option of each: " + "; ".join(
        f"{choice}: {_winner(options)} {wording.percent(max(options.values()), 0)}" for choice, options in last.items()
    )
    return figure("gates", "Final probabilities of every choice", description[:4000], 460, height, *parts)


def heat_class(value: float, top: float) -> str:
    """The class of a value between 0 and `top`."""
    return f"heat{min(max(round(value / top * (HEAT_STEPS - 1)), 0), HEAT_STEPS - 1)}"


def heat_scale() -> Markup:
    """The colours from little to much, for a legend."""
    cells = [tag("rect", x=18 * step, y=0, width=18, height=10, class_=f"heat{step}") for step in range(HEAT_STEPS)]
    width = 18 * HEAT_STEPS
    return tag("svg", *cells, viewBox=f"0 0 {width} 10", width=width, height=10, class_="inline", aria_hidden="true")


def left_out(choices: Mapping[str, Any]) -> list[str]:
    """The choices that were decided for no layer at all."""
    return [choice for choice, option in choices.items() if option == "zero"]


def _with_left_out(blocks: Sequence[Block], choices: Mapping[str, Any]) -> Iterator[tuple[Block | None, str]]:
    """The blocks, and after each the choices behind it that were left out, as (None, name)."""
    behind: dict[str, list[str]] = {}
    names, before = {block.name for block in blocks}, ""
    for choice in list(choices)[:MOST_CHOICES]:
        if choice in names:
            before = choice
        elif before and choices[choice] == "zero":
            behind.setdefault(before, []).append(choice)
    for block in blocks:
        yield block, ""
        yield from ((None, choice) for choice in behind.pop(block.name, ()))


def _arrow(x: float, start: float, tip: float) -> Markup:
    head = polyline([(x - 4, tip - 6), (x, tip - 1), (x + 4, tip - 6)], "chain")
    return line(x, start, x, tip - 1, "chain") + head


def _cell(x: float, y: float, width: float, choice: str, option: str, probability: float, delivered: bool) -> Markup:
    heat = heat_class(probability, 1.0)
    title = f"{choice}: {option} {wording.percent(probability)}" + (", delivered" if delivered else "")
    frame = "cell delivered" if delivered else "cell"
    box = tag("rect", tag("title", title), x=x + 1, y=y, width=width, height=19, rx=3, class_=f"{frame} {heat}")
    if width < 22 or probability < 0.005:
        return box
    shown = wording.decimals(100 * probability, 0)
    return tag("g", box, words(x + 1 + width / 2, y + 13.5, shown, f"small on-{heat}", "middle"))


def _block(row: Mapping[str, Any]) -> Block:
    says = text(row.get("text"))
    channels = re.search(r"(\d{1,6}) (?:channels|classes)", says)
    kernel = re.search(r"(\d{1,3})\s?[x×]\s?(\d{1,3})", says)
    expansion = re.search(r"expansion (\d{1,3}(?:\.\d{1,3})?)", says)
    sizes = re.findall(r",\s*(\d{1,5})\s?[x×]\s?(\d{1,5})", says)
    pieces = [f"{kernel[1]}×{kernel[2]}"] if kernel and (not sizes or kernel.start() < says.rfind(",")) else []
    pieces += [f"e{expansion[1]}"] if expansion else []
    pieces += [channels[1] + (" classes" if "classes" in channels[0] else "")] if channels else []
    return Block(
        name=text(row.get("name")),
        says=re.sub(r"(?<=\d)x(?=\d)", "×", says),
        short=" · ".join(pieces) or says,
        channels=int(channels[1]) if channels and "channels" in channels[0] else None,
        map_size=f"{sizes[-1][0]}×{sizes[-1][1]}" if sizes else "",
        latency_ms=number(row.get("latency_ms")),
        share=number(row.get("share")),
        params=number(row.get("params")),
        macs=number(row.get("macs")),
    )


def _share_words(block: Block) -> str:
    share = f"{wording.percent(block.share)} of the latency by the model" if block.share is not None else ""
    return ", ".join(part for part in (share, wording.short_count(block.macs, "MACs") if block.macs else "") if part)


def _probabilities(options: Any) -> dict[str, float]:
    found = {str(option): number(value) for option, value in mapping(options).items()}
    return {option: value for option, value in found.items() if value is not None}


def _led_since(lines: Sequence[Mapping[str, Any]], choice: str, final: Mapping[str, float]) -> str:
    """The first step from which on the final winner was always the likeliest; "" with too few lines to tell."""
    if len(lines) < FEWEST_LINES:
        return ""
    winner, since = _winner(final), None
    for entry in reversed(lines):
        options = _probabilities(mapping(entry.get("gates")).get(choice))
        if not options or _winner(options) != winner:
            break
        since = number(entry.get("step"))
    return "" if since is None else wording.count(since)


def _winner(options: Mapping[str, float]) -> str:
    return max(options, key=lambda option: options[option])
