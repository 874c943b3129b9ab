"""JSON texts about which a quick look tells that nothing is wrong with them; `brain.json_text` looks at all others."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from brain.limits import INTEGER_LEAST, INTEGER_MOST
from brain.typed import ready

_KEY_AND_BLANK = re.compile(rb'"[ \t\n\r]+:')
_decode = msgspec.json.Decoder(ready(dict[str, Any])).decode


def plain_object(data: bytes, most_depth: int) -> dict[str, Any] | None:
    """The object that a JSON text holds, where a quick look shows that `json_fault` has nothing against it, that its
    whole numbers have at most 64 bits, and that it is nested no deeper. None for all others, right or wrong.
    """
    if not is_plain(data):
        return None
    try:
        value = _decode(data)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return value if _keys(value, most_depth) == key_count(data) else None


def is_plain(data: bytes) -> bool:
    """Whether nothing is escaped in it, it is UTF-8, and each key is followed by its colon."""
    if b"\\" in data or _KEY_AND_BLANK.search(data) is not None:
        return False
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return False
    return True


def key_count(data: bytes) -> int:
    """At least how many keys a plain text has, at all levels: where an object read from it has as many, none was given
    twice.

    Without escapes no text in it holds a quotation mark, so each key ends in `":` and nowhere else does, but where a
    text begins with a colon.
    """
    return data.count(b'":')


def _keys(value: dict[str, Any], most_depth: int) -> int:
    """How many keys there are at all levels; -1 when there are more levels, or numbers of more than 64 bits."""
    count = 0
    level: list[Any] = [value]
    for _ in range(most_depth + 1):
        following: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is dict:
                count += len(one)
                following += one.values()
            elif kind is list:
                following += one
            elif kind is int and not INTEGER_LEAST <= one <= INTEGER_MOST:
                return -1
        if not following:
            return count
        level = following
    return -1
