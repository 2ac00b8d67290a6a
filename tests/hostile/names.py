"""Two hundred names that a shell, a terminal, a browser or a template would obey."""

from __future__ import annotations

import os

# What fires: a file "fired" where a shell runs, and in a browser the title, an element, or a request to PORT.
FIRE = "document.title='fired';document.body.append(Object.assign(document.createElement('b'),{id:'fired'}))"
REQUEST = "http://127.0.0.1:PORT/"
PAGES = (
    f"<script>{FIRE}</script>", f"</script><script>{FIRE}</script>", f"</style><script>{FIRE}</script>",
    f"--><script>{FIRE}</script>", f"]]><script>{FIRE}</script>", f"</title></head><script>{FIRE}</script>",
    f"<img src=x onerror={FIRE}>", f"\"><img src=x onerror={FIRE}>", f"'><svg onload={FIRE}>",
    f"<svg><script>{FIRE}</script></svg>", f"<svg><animate onbegin={FIRE} attributeName=x dur=1s>",
    f"\" autofocus onfocus=\"{FIRE}\" tabindex=\"1", f"' onmouseover='{FIRE}", f"<body onload={FIRE}>",
    f"<iframe srcdoc=\"<script>parent.{FIRE}</script>\">", f"<a href=\"javascript:{FIRE}\">x</a>", f"javascript:{FIRE}",
    f"<details open ontoggle={FIRE}>", f"<video><source onerror={FIRE}></video>", f"<input autofocus onfocus={FIRE}>",
    f"<img src={REQUEST}a>", f"<link rel=stylesheet href={REQUEST}b>", f"<style>@import '{REQUEST}c'</style>",
    f"<meta http-equiv=refresh content='0;url={REQUEST}d'>", f"<base href={REQUEST}e>", f"<iframe src={REQUEST}f>",
    f"<object data={REQUEST}g>", f"<svg><image href={REQUEST}h /></svg>", f"<form action={REQUEST}i><input></form>",
    f"<style>*{{background:url({REQUEST}j)}}</style>", f"<script src={REQUEST}k></script>", f"<embed src={REQUEST}l>",
    "<plaintext>", "<!--", "<textarea>", "<title>fired</title>", "<b id=fired>", "&lt;script&gt;", "&#60;script&#62;",
    "{{7*7}}", "{% raw %}", "{{ ''.__class__.__mro__ }}", "${7*7}", "#{7*7}", "<%= 7*7 %>",
)  # fmt: skip
SHELLS = (
    "$(touch fired)", "`touch fired`", "; touch fired", "| touch fired", "&& touch fired", "|| touch fired",
    "& touch fired &", "> fired", "$(touch${IFS}fired)", "'; touch fired; '", '"; touch fired; "', "\ntouch fired\n",
    "\r\ntouch fired\r\n", "*; touch fired", "-rf", "--out", "--fresh", "-", "--", "-c touch fired", "~", "~root", "!!",
    "#", "\\", "'", '"', "%s%s%n", "%00", "{a,b}", "[a-z]", "?", "*", "$HOME", "$PATH", "@fired", "con", "aux.png",
)  # fmt: skip
SIGNS = (
    "\x1b[2J\x1b[31mred", "\x1b]0;fired\x07", "\x1b]8;;http://evil.example\x07here\x1b]8;;\x07", "\x9b31m", "\x07",
    "\x08\x08", "\x7f", "\rerror", "\x0b\x0c", "\u202egnp.exe", "\u2066x\u2069", "\u200b", "\u2028line", "\u2029",
    "\ufeff", "\u00ad", "e\u0301" * 30, "日本語", "😀", "Ω≈ç√", "\U000e0041", "[red]x[/red]", "[/]", "[bold",
    "[link=http://evil.example]x[/link]", "x" * 180,
)  # fmt: skip
PLACES = (
    "..", "../..", "../outside/secret.txt", "/etc/passwd", "a/../../b", "./.", "a/b", "C:\\x", "\\\\host\\x",
    "file:///etc/passwd", "a\0b", "nul\0",
)  # fmt: skip
PIECES = (*PAGES, *SHELLS, *SIGNS, *PLACES)


def hostile_names(port: int = 0) -> list[str]:
    """Each piece by itself and within a name: more than two hundred, the worst for a browser first."""
    pieces = [piece.replace("PORT", str(port)) for piece in PIECES]
    return list(dict.fromkeys([*pieces, *(f"a {piece} z" for piece in pieces)]))


def file_names() -> list[str]:
    """Those that a file can have here."""
    fit = [name for name in hostile_names() if not {"/", "\0"} & set(name) and len(os.fsencode(name)) < 240]
    return [name for name in fit if name not in (".", "..")]
