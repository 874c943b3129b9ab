"""JSON texts: whether one keeps to JSON as every reader takes it, and where in it a fault is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import accumulate
from math import isinf
from typing import Any

import msgspec

_TOKEN = re.compile(
    rb'(?P<key>"(?:[^"\\]|\\.)*+"(?=\s*+:))|(?P<text>"(?:[^"\\]|\\.)*+"?)|(?P<open>[{\[])|(?P<close>[}\]])'
    rb'|(?P<comma>,)|(?P<word>[^\s{}\[\],:"]+)',
    re.S,
)
_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.S)
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _STEPS)
_PLACE_CHARACTERS = 200
JSON_FAULTS = (ValueError, RecursionError)
"""What decoders raise for a text that is no JSON: msgspec's DecodeError and a UnicodeDecodeError are ValueErrors."""
_WRONG = {"deep": "is nested too deeply", "twice": "is given twice"}
_LONGEST_INTEGER = 4_300  # digits, beyond which Python does not convert


def json_fault(data: bytes, most_depth: int) -> str | None:
    """Why a text is not taken as JSON, beginning with the place in it where there is one; None for one that is.

    Refused are also: numbers that JSON cannot hold, lone surrogates, a key given twice, and nesting beyond the depth.
    """
    if is_deeper(data, most_depth):
        return f"{fault_in(data, most_depth) or 'is nested too deeply'}; {most_depth} levels are allowed"
    try:
        msgspec.json.decode(data)
        json.loads(data, object_pairs_hook=_distinct)
    except _GivenTwice as error:
        return fault_in(data, most_depth) or f"{error}: is given twice"
    except (ValueError, RecursionError) as error:  # msgspec's DecodeError is one, as is UnicodeDecodeError
        return fault_in(data, most_depth) or str(error)
    return None


class _GivenTwice(Exception):
    """A key that an object has twice: readers differ in which of the values they take."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _GivenTwice(next(key[:100] for key in found if keys.count(key) > 1))
    return found


def is_deeper(data: bytes, most_depth: int) -> bool:
    """Whether a text is nested deeper than so many levels; 0 is a scalar's. The text need not be valid."""
    # It cannot be deeper than it has opening brackets: the common case, two fast counts.
    if data.count(b"{") + data.count(b"[") <= most_depth:
        return False
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    return any(depth > most_depth for depth in accumulate(map(_STEPS.__getitem__, brackets)))


def fault_in(data: bytes, most_depth: int) -> str | None:
    """The first member that no reader takes, as `place: what it is`; None when the fault is not in one member."""
    for place, kind, token in _members(data, most_depth):
        fault = _fault(kind, token)
        if fault is not None:
            return f"{place}: {fault}" if place else fault
    return None


def _fault(kind: str, token: bytes) -> str | None:
    if kind in _WRONG:
        return _WRONG[kind]
    if kind == "text":
        try:
            token.decode()
        except UnicodeDecodeError:
            return "is not UTF-8"
        if any(len(found) == 4 for found in _SURROGATE.findall(token)):
            return "is no valid text: it has a lone surrogate"
        return None
    if token in (b"true", b"false", b"null"):
        return None
    word = token[:40].decode(errors="replace")
    try:
        number = float(token)
    except ValueError:
        return f"{word!r} is no JSON value"
    if isinf(number) or number != number or len(token) > _LONGEST_INTEGER:
        return f"{word!r} is not a number that JSON can hold"
    return None


def _members(data: bytes, most_depth: int) -> Iterator[tuple[str, str, bytes]]:
    """Each scalar with its place and kind, each key as a text of its place, and where the text is too deep, or says a
    key twice.
    """
    path: list[str | int] = []  # in each open object the key, in each open list the index, that comes now
    keys: list[set[bytes]] = []  # of each open object or list
    for found in _TOKEN.finditer(data):
        kind, token = found.lastgroup or "", found[0]
        if kind == "open":
            if len(path) == most_depth:
                yield _written(path), "deep", token
                return
            path.append("" if token == b"{" else 0)
            keys.append(set())
        elif kind == "close":
            if path:
                path.pop()
                keys.pop()
        elif kind == "comma":
            if path and isinstance(path[-1], int):
                path[-1] += 1
        elif kind == "key":
            if path:
                path[-1] = token[1:-1].decode(errors="replace")
            yield _written(path), "twice" if keys and token in keys[-1] else "text", token
            if keys:
                keys[-1].add(token)
        else:
            yield _written(path), kind, token


def _written(path: list[str | int]) -> str:
    """The place as `rules[2].conditions[0].value`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[:_PLACE_CHARACTERS]]
    return "".join(parts).lstrip(".")[:_PLACE_CHARACTERS]
