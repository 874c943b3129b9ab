"""Erasure of what names one subject: what is looked for, and the mark that takes its place.

A subject is an id: of an agent, a principal, an e-mail address. It is found as a whole value, as a whole name in an
object, and as a word of its own in a longer text: `agent-7` is neither in `agent-70` nor in `my-agent-7`. The mark is a
keyed hash (`brain.redaction`), so that what belonged together still does, and nobody without the key can tell whose it
was.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from brain.errors import InvalidInput
from brain.redaction import MARK, mark
from brain.stream.backends import erased_event

_LEAST = 3
_MOST = 200
_DEPTH = 150
_SEPARATOR = "\x1f"  # between the values of one label of a metric
_SOURCE = re.compile(r"[a-z][a-z0-9_]*_service").fullmatch
_PLAIN = re.compile(r"[a-z]+").fullmatch
_INFLATED = 64 << 20
_FORMS: tuple[tuple[Callable[[bytes], Any], Callable[[Any], bytes]], ...] = (
    (msgspec.json.decode, msgspec.json.encode),
    (msgspec.msgpack.decode, msgspec.msgpack.encode),
)


def check_subject(text: str, i_know: bool) -> str:
    """The subject as given. Raises InvalidInput for one that cannot be erased, or is no id, unless the caller knows."""
    if not _LEAST <= len(text) <= _MOST or text != text.strip() or not text.isprintable():
        raise InvalidInput(f"subject: give an id of {_LEAST} to {_MOST} printable characters, such as agent-7")
    if text.startswith(MARK):
        raise InvalidInput("subject: is a mark already: nobody can tell from it who was meant; give the id itself")
    if _SOURCE(text):
        raise InvalidInput(f"subject: {text} names a program, which events must name as their source; give a person's")
    if _PLAIN(text) and not i_know:
        raise InvalidInput(
            f"subject: {text!r} is a plain word, and may stand for a state or a kind, too; see what --dry-run --i-know "
            "finds, then repeat with --i-know"
        )
    return text


class Eraser:
    """Replaces one subject by its mark in values of any form."""

    def __init__(self, subject: str, *, whole_values: bool = False) -> None:
        self._subject = subject
        self._whole = whole_values
        self._needle = subject.encode()
        self._word = re.compile(rf"(?<![\w@+-])(?<!\w\.){re.escape(subject)}(?![\w@+-])(?!\.\w)")
        self.mark: str = mark("subject", subject)
        self.mentions: int = 0
        """Longer texts that were left although the subject is a word of them."""
        self.unread: int = 0
        """Bytes of an unknown form that were left although the subject is in them."""

    def value(self, value: Any, depth: int = 0) -> Any:
        """The value of JSON with the subject replaced; an equal one where it is not in it."""
        if isinstance(value, str):
            return self.text(value, depth)
        if depth > _DEPTH:
            return value
        if isinstance(value, dict):
            return {
                self.text(key, depth) if isinstance(key, str) else key: self.value(one, depth + 1)
                for key, one in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(one, depth + 1) for one in value]
        return self.data(value) if isinstance(value, bytes) else value

    def text(self, text: str, depth: int = 0) -> str:
        """The text with the subject replaced; JSON that is written in it is looked through, too."""
        if self._subject not in text and "\\" not in text:
            return text
        if text == self._subject:
            return self.mark
        if _SEPARATOR in text:
            return _SEPARATOR.join(self.text(part, depth) for part in text.split(_SEPARATOR))
        if text[:1] in ("{", "[") and depth < _DEPTH:
            try:
                decoded = msgspec.json.decode(text)
            except (ValueError, RecursionError):
                pass
            else:
                changed = self.value(decoded, depth + 1)
                return text if changed == decoded else msgspec.json.encode(changed).decode()
        if not self._word.search(text):
            return text
        if self._whole:
            self.mentions += 1
            return text
        return self._word.sub(self.mark, text)

    def data(self, data: bytes) -> bytes:
        """JSON, MessagePack, deflated JSON or UTF-8 with the subject replaced; the same bytes where it is not in it."""
        if data[:1] == b"x" and (inner := _inflated(data)) is not None:
            changed = self.data(inner)
            return data if changed == inner else zlib.compress(changed, 1)
        if self._needle not in data and b"\\" not in data:
            return data
        for read, write in _FORMS:
            try:
                decoded = read(data)
            except (ValueError, RecursionError):
                continue
            changed = self.value(decoded)
            return data if changed == decoded else write(changed)
        try:
            return self.text(data.decode()).encode()
        except UnicodeDecodeError:
            self.unread += self._needle in data
            return data

    def is_in(self, data: bytes) -> bool:
        """Whether the subject is in these bytes, as UTF-8 has it."""
        return self._needle in data

    def event(self, data: bytes) -> bytes:
        """The bytes of an event with the subject replaced in its target, payload and meta; the same where it is not.

        Its id, type, source and time stay, and it keeps the anchor of what it was. Bytes that are no event are replaced
        as a whole.
        """
        if self._needle not in data and b"\\" not in data:
            return data
        try:
            found = msgspec.json.decode(data)
        except (ValueError, RecursionError):
            return erased_event(data, {}) if self._needle in data else data
        if not isinstance(found, dict) or not isinstance(found.get("meta"), dict):
            changed = self.value(found)
            return data if changed == found else erased_event(data, {})
        kept = ("id", "type", "source", "timestamp")
        changed = {name: one if name in kept else self.value(one) for name, one in found.items()}
        return data if changed == found else erased_event(data, changed)


def _inflated(data: bytes) -> bytes | None:
    """What is deflated in the bytes; None where they are of another form."""
    inflating = zlib.decompressobj()
    try:
        inner = inflating.decompress(data, _INFLATED)
    except zlib.error:
        return None
    return inner if inflating.eof else None
