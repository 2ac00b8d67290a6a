"""YAML that is nothing but names and values: no tags, anchors or aliases, not deep, every name once."""

from __future__ import annotations

from typing import Any

import yaml

from hwnas.core.errors import FileFormatError, quoted

_DEEPEST = 20
_MOST_TOKENS = 50_000  # a name and its value are four or five; reading this many takes two seconds
_OPENING = (
    yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken,
)  # fmt: skip
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def plain_yaml(content: bytes, where: str, what: str) -> dict[str, Any]:
    """Reads names and values.

    Args:
        content: of a file whose size was limited.
        where: the file, for messages.
        what: one of its names is, for messages: "setting", "row".

    Raises:
        FileFormatError: not YAML, with tags, anchors or aliases, deeply nested, too long, not a mapping by text, or
            with a name twice in the same mapping.
    """
    try:
        text = content.decode("utf-8")
        _check_tokens(where, text, what)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, ArithmeticError, RecursionError) as reason:
        raise FileFormatError(f"{where} is not valid YAML: {_fault(reason)}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise FileFormatError(f"{where}: expected {what}s by name, not {type(data).__name__}")
    return data


def _fault(reason: Exception) -> str:
    """What is wrong and where, without what stands there: the file may be another one than it seems."""
    if isinstance(reason, yaml.MarkedYAMLError) and reason.problem_mark is not None:
        return f"line {reason.problem_mark.line + 1}: {reason.problem}"
    return " ".join(str(reason).split())


def _check_tokens(where: str, text: str, what: str) -> None:
    """Refuses what YAML allows and names and values never need, before anything is made of it."""
    names: list[set[str]] = []  # of each mapping or list that is open
    before = None
    for number, token in enumerate(yaml.scan(text, yaml.SafeLoader)):
        if number > _MOST_TOKENS:
            raise FileFormatError(f"{where} holds more than {_MOST_TOKENS:,} YAML tokens, the most that are read")
        if isinstance(token, _OPENING):
            names.append(set())
        elif isinstance(token, _CLOSING) and names:
            names.pop()
        # A few nested aliases stand for billions of values.
        if isinstance(token, (yaml.AnchorToken, yaml.AliasToken)):
            raise FileFormatError(f"{where} has YAML anchors or aliases; write the values out")
        if isinstance(token, yaml.TagToken):
            raise FileFormatError(f"{where} has YAML tags, such as {quoted('!' + token.value[1])}; write plain values")
        if len(names) > _DEEPEST:
            raise FileFormatError(f"{where} is nested more than {_DEEPEST} deep; {what}s are names and values")
        if names and isinstance(before, yaml.KeyToken) and isinstance(token, yaml.ScalarToken):
            if token.value in names[-1]:
                said = f"{what} {quoted(token.value)}" if len(names) == 1 else f"name {quoted(token.value)}"
                raise FileFormatError(f"{where} has the {said} twice; give it once")
            names[-1].add(token.value)
        before = token
