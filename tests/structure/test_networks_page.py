"""docs/networks.md and its drawings are what the data make them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from sources import PROJECT


def made() -> dict[Path, str]:
    spec = importlib.util.spec_from_file_location("make_networks", PROJECT / "docs" / "make_networks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[Path, str] = module.pages()
    return pages


def test_the_page_and_its_drawings_are_current() -> None:
    stale = [
        path.relative_to(PROJECT)
        for path, content in made().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]
    assert stale == [], "run `make docs`"
    drawings = {path.stem for path in (PROJECT / "docs" / "images" / "networks").glob("*.svg")}
    from hwnas.networks.catalogue import NETWORKS

    assert drawings == set(NETWORKS)
