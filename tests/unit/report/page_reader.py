"""Reads a page strictly: every tag must be closed where it was opened."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "hr"}
INLINE = {"a", "strong", "em", "span", "code"}
ALLOWED = set(
    "html head meta title style body div header main nav section footer h1 h2 h3 p ul li dl dt dd a strong em span "
    "small code pre table caption thead tbody tfoot tr th td figure figcaption "
    "details summary svg desc g rect circle line polyline polygon path text tspan".split()
)


class Page(HTMLParser):
    """What a browser would find: tags, attributes, ids and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.style = ""
        self._open: list[str] = []
        self.feed(source)
        self.close()
        if self._open:
            raise AssertionError(f"never closed: {self._open}")

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).replace("\u00a0", " ").split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1] != tag:
            raise AssertionError(f"</{tag}> closes {self._open[-3:]} at {self.getpos()}")
        self._open.pop()
        if tag not in INLINE:
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.style += data
        else:
            self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(set(names)) != len(names):
            raise AssertionError(f"<{tag}> has an attribute twice: {names}")
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]


def read(source: str) -> Page:
    """The page, after the checks that every page must pass: well formed, inert, self-contained."""
    page = Page(source)
    assert source.startswith("<!doctype html>")
    assert {name for name, _ in page.tags} <= ALLOWED
    assert len(set(page.ids)) == len(page.ids)
    for _, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset", "data")}
        assert (attributes.get("href") or "#").startswith("#")
    for attributes in page.named("a"):
        assert (attributes["href"] or "")[1:] in page.ids
    for attributes in page.named("svg"):
        named = (attributes.get("aria-labelledby") or "").split()
        assert attributes.get("aria-hidden") == "true" or (named and set(named) <= set(page.ids))
    assert "url(" not in page.style and "@import" not in page.style
    return page
