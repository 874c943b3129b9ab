"""Finds patterns that are open at an end, and shows a text that each lets through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from brain.policy import patterns

# No pattern that says how a text ends, or begins, takes all of these there.
_ODD = ("\n", "/", "\x00", "é", "A", "0", " ", "_")
_CLOSED = re.compile(r"(?:^|[^\\])(?:\\\\)*(?:\$|\\z)\)*$")

_MOST = 100  # texts of one pattern
_TOKEN = re.compile(
    r"\\[pP]\{\^?\w+\}|\\[pP]\w|\\x\{[0-9a-fA-F]+\}|\\x[0-9a-fA-F]{2}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"
    r"|\(\?P?<\w+>|\(\?[a-zA-Z-]*:|\(\?[a-zA-Z-]+\)|\{\d+(?:,\d*)?\}|.",
    re.S,
)
_CLASSES = {"d": "1", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t"}
_EMPTY = frozenset({"A", "z", "b", "B", "Q", "E"})
_PREFERRED = "1axA0 -_/.:@"


def open_end(pattern: str, is_path: bool, fits: Callable[[str], bool]) -> str | None:
    """A text that `fits`, and goes on after what the pattern says; None when there is none to show.

    `is_path`: the text stands for a path, for which `..` is the example that matters.
    """
    if _CLOSED.search(pattern) and "|" not in pattern:
        return None
    for text in _texts(pattern):
        if all(fits(text + odd) for odd in _ODD):
            tail = ("../../secrets" if text.endswith("/") else "/../../secrets") if is_path else "-and-anything"
            if fits(text + tail):
                return text + tail
    return None


def open_start(pattern: str, is_path: bool, fits: Callable[[str], bool]) -> str | None:
    """A text that `fits`, and begins as no one said; None when there is none to show."""
    for text in _texts(pattern):
        if all(fits(odd + text) for odd in _ODD if odd != "\n"):
            head = "secrets/../" if is_path else "anything-"
            if fits(head + text):
                return head + text
    return None


def _texts(pattern: str) -> list[str]:
    """Short texts that the pattern matches, one for each of its alternatives; none when it is unclear."""
    try:
        test = patterns.matcher(pattern)
        found, rest = _alternatives(_TOKEN.findall(pattern))
    except (patterns.PatternError, _Unclear):
        return []
    return [] if rest else [text for text in found if test(text)]


class _Unclear(Exception):
    """A construct whose texts are not worth the work."""


def _alternatives(tokens: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """A text for each alternative up to the closing bracket or the end, and the tokens that are left."""
    found: list[str] = []
    texts = [""]
    while tokens:
        token, tokens = tokens[0], tokens[1:]
        if token == ")":
            return [*found, *texts], [token, *tokens]
        if token == "|":
            found += texts
            texts = [""]
            continue
        ones, tokens = _one(token, tokens)
        times, tokens = _times(tokens)
        texts = [text + one * times for text in texts for one in ones][:_MOST]
    return [*found, *texts][:_MOST], tokens


def _one(token: str, rest: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """The texts of one token, more than one of a group with alternatives, and the tokens that are left."""
    if token.startswith("(?") and token.endswith(")"):
        return [""], rest  # flags
    if token.startswith("("):
        inside, rest = _alternatives(rest)
        if not rest:
            raise _Unclear
        return list(dict.fromkeys(inside)), rest[1:]
    if token.startswith(("[", "\\p", "\\P", "\\x")):
        return [_member(token)], rest
    if token.startswith("\\"):
        return [_escaped(token[1:])], rest
    return [{".": "x", "^": "", "$": ""}.get(token, token)], rest


def _escaped(name: str) -> str:
    if name in _EMPTY:
        return ""
    return _CLASSES.get(name, name)


def _member(written: str) -> str:
    """A text of one character that the class, or escape, has."""
    fits = patterns.matcher(written)
    return next(filter(fits, (*_PREFERRED, *map(chr, range(33, 0x2000)))), "")


def _times(tokens: Sequence[str]) -> tuple[int, Sequence[str]]:
    """How often the last one stands: as few times as the quantifier permits, but once rather than not at all."""
    times = 1
    while tokens and (tokens[0] in ("*", "+", "?") or (tokens[0].startswith("{") and len(tokens[0]) > 2)):
        if tokens[0].startswith("{"):
            times = max(1, min(100, int(re.findall(r"\d+", tokens[0])[0])))
        tokens = tokens[1:]
    return times, tokens


def each_open(pattern: str, is_path: bool, fits: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """`open-end` and `open-start`, each with its text, where they are so."""
    for kind, find in (("open-end", open_end), ("open-start", open_start)):
        if (text := find(pattern, is_path, fits)) is not None:
            yield kind, text
