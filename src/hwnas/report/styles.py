"""The style sheets that lie beside the templates."""

from __future__ import annotations

from importlib.resources import files


def style_sheet(name: str) -> str:
    """A style sheet: "palette.css" has the colours of light and dark pages, "style.css" the page's rules."""
    return files("hwnas.report").joinpath("templates", name).read_text(encoding="utf-8")
