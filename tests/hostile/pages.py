"""What a browser would do with a page: by reading it strictly, and by letting Chromium do it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

BANNED = set(
    "script iframe frame object embed link base form input img image video audio source template foreignobject animate "
    "set use applet portal noscript".split()
)
WITH_URL = set("href src srcset action formaction data poster background ping xlink:href cite".split())


class Page(HTMLParser):
    """Everything in a page that could act, and what it says."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.acting: list[str] = []
        self.policies: list[str] = []
        self.ids: set[str] = set()
        self.words = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in BANNED or values.get("http-equiv", "content-security-policy").lower() != "content-security-policy":
            self.acting.append(f"<{tag} {attrs}>")
        for name, value in attrs:
            if name.startswith("on") or name == "style" or (name in WITH_URL and not (value or "").startswith("#")):
                self.acting.append(f"<{tag} {name}={value}>")
        if "http-equiv" in values:
            self.policies.append(values.get("content") or "")
        self.ids.add(values.get("id") or "")

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        self.words += data


def inert(source: str) -> Page:
    """The page, after the checks that every page must pass."""
    page = Page(source)
    assert page.acting == [] and "fired" not in page.ids
    assert len(page.policies) == 1 and page.policies[0].startswith("default-src 'none'; style-src 'sha256-")
    assert "script-src" not in page.policies[0] and "unsafe" not in page.policies[0]
    return page


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium in PATH: pages are read strictly only")
    return found


def opened(page: Path, profile: Path) -> str:
    """The document after Chromium has laid it out and run whatever would run."""
    done = subprocess.run(
        [chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", f"--user-data-dir={profile}", "--virtual-time-budget=3000", "--dump-dom",
         page.as_uri()],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "</html>" in done.stdout, done.stderr[-2000:]
    return done.stdout


@contextlib.contextmanager
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port of this machine, and what it is asked for."""
    heard: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port, heard
        server.shutdown()
        thread.join()
