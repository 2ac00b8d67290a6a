"""Writes docs/networks.md and a drawing of every published network from the data in `hwnas.networks`.

python docs/make_networks.py
"""

from __future__ import annotations

from pathlib import Path

import hwnas
from hwnas.compose.spaces import SPACES
from hwnas.networks.catalogue import NETWORKS
from hwnas.report import wording
from hwnas.workflows.describing import Described, drawing

DOCS = Path(__file__).parent
DRAWINGS = "images/networks"

HEAD = """# Published networks

`hwnas describe NAME` says what each of them costs, `hwnas measure NAME` how long it takes on your device, `hwnas
train NAME --data PATH --out DIR` trains it on your images, and `hwnas export NAME --random-weights --out DIR`
writes it as files. `--resolution`, `--classes` and, where a row says so, `--width` fit it to yours. Each is data,
read by the one builder that also builds what a search finds.

Params count batch-norm's two numbers a channel; MACs are the multiply-accumulates of convolutions and linear
layers, squeeze-excite included, at the stated resolution; memory is the most that activations take at once in f32.
Accuracies are those that the authors report; none of them was measured here. *Twin*: the same network in
torchvision or timm, against which parameters and outputs are tested.

This page is made from the data by `make docs`, and a test holds it current.
"""


def pages() -> dict[Path, str]:
    """Every file that is made, with its content."""
    found = [hwnas.describe(name) for name in NETWORKS]
    drawings = {DOCS / DRAWINGS / f"{one.source}.svg": drawing(one) + "\n" for one in found}
    parts = [HEAD, _table(found), _contradictions(found), _spaces(), *map(_network, found)]
    return {DOCS / "networks.md": "\n".join(parts), **drawings}


def _table(found: list[Described]) -> str:
    rows = [
        "| name | params | MACs | pixels | memory | top-1 reported | any width | twin |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        facts = NETWORKS[one.source]
        top1 = f"{facts.reported_top1:g} %" if facts.reported_top1 else "–"
        twin = ", ".join(f"{place} `{name}`" for place, name in _twins(one.source)) or "–"
        counted = f"{one.params:,} | {one.macs:,} | {facts.resolution}"
        memory = wording.short_count(one.peak_activation_bytes, "B").replace("\u00a0", " ")
        link = f"[`{one.source}`](#{one.source.replace('.', '')})"
        rows.append(f"| {link} | {counted} | {memory} | {top1} | {'yes' if facts.scales else ''} | {twin} |")
    return "\n".join(rows) + "\n"


def _contradictions(found: list[Described]) -> str:
    notes = [f"- `{one.source}`: {NETWORKS[one.source].note}" for one in found if NETWORKS[one.source].note]
    return "\n".join(["## Where published figures differ", "", *notes, ""])


def _spaces() -> str:
    rows = [
        "## Search spaces",
        "",
        "`hwnas describe NETWORK --as SPACE` finds a network in a space, and says what differs. Sizes are exact; the "
        "second counts, as papers do, choices that decide nothing because the layer they belong to is left out.",
        "",
        "| space | networks | counted with inactive choices | |",
        "|---|---|---|---|",
    ]
    for name, space in SPACES.items():
        choices = space.own.choices
        sizes = f"{_size(choices.size())} | {_size(choices.size_with_inactive())}"
        rows.append(f"| `{name}` | {sizes} | {space.text} |")
    return "\n".join(rows) + "\n"


def _network(one: Described) -> str:
    facts = NETWORKS[one.source]
    return "\n".join(
        [
            f"## {one.source}",
            "",
            f"{facts.title}. {facts.paper}. Layers: {facts.origin}.",
            "",
            f"![{facts.title}, layer by layer]({DRAWINGS}/{one.source}.svg)",
            "",
        ]
    )


def _twins(name: str) -> list[tuple[str, str]]:
    facts = NETWORKS[name]
    known = (("torchvision", facts.torchvision), ("timm", facts.timm))
    return [(place, twin) for place, twin in known if twin]


def _size(count: int) -> str:
    if count < 10**7:
        return f"{count:,}"
    digits = len(str(count)) - 1
    return f"{count / 10**digits:.2f}·10^{digits}"


def main() -> None:
    """Writes every page, and removes drawings of networks that are no longer there."""
    made = pages()
    for old in (DOCS / DRAWINGS).glob("*.svg"):
        if old not in made:
            old.unlink()
    for path, content in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
