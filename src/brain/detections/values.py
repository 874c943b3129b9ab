"""The values of one event as tests see them: found by name, as text, each looked up once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from brain.detections.models import TEXT

MISSING: Final = object()
ENVELOPE = "event."
"""Names that begin with it are fields of the envelope: `event.type`, `event.source`, `event.meta.traceparent`."""
_DEEPEST = 12

Texts = str | tuple[str, ...] | None
"""The value as text, the texts of a list, or None where there is none."""


def find(data: Any, name: str) -> Any:
    """The value: under the literal name, else along the dotted path, through lists of objects; MISSING if none."""
    if type(data) is dict:
        value = data.get(name, MISSING)
        if value is not MISSING or "." not in name:
            return value
        at = name.find(".")
        while at > 0:
            inner = data.get(name[:at], MISSING)
            if inner is not MISSING and (value := find(inner, name[at + 1 :])) is not MISSING:
                return value
            at = name.find(".", at + 1)
        return MISSING
    if type(data) is list:
        found = [value for one in data if (value := find(one, name)) is not MISSING]
        return found if found else MISSING
    return MISSING


def find_in(data: Any, event: object | None, name: str) -> Any:
    """The value of a field of the event, or of its envelope."""
    value = find(data, name)
    if value is MISSING and event is not None and name.startswith(ENVELOPE):
        first, _, rest = name[len(ENVELOPE) :].partition(".")
        value = getattr(event, first, MISSING)
        return value if not rest else find(value, rest)
    return value


def text_of(value: Any) -> Texts:
    """The value as text: numbers as they are written, a list as the texts of its members, an object as JSON."""
    kind = type(value)
    if kind is str:
        return str(value)
    if value is None or value is MISSING:
        return None
    if kind is bool:
        return "true" if value else "false"
    if kind is float and value.is_integer():
        return str(int(value))
    if kind is list or kind is tuple:
        texts: list[str] = []
        for one in value:
            text = text_of(one)
            texts.extend((text,) if type(text) is str else text or ())
        return tuple(texts)
    if kind is dict or isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return str(value)


def all_text(data: Any) -> str:
    """Every value of the event, each on a line of its own."""
    lines: list[str] = []
    _gather(data, lines, 0)
    return "\n".join(lines)


def _gather(value: Any, lines: list[str], depth: int) -> None:
    if depth > _DEEPEST:
        return
    if type(value) is dict:
        for one in value.values():
            _gather(one, lines, depth + 1)
    elif type(value) is list:
        for one in value:
            _gather(one, lines, depth + 1)
    elif type(text := text_of(value)) is str:
        lines.append(text)


class Originals(dict[str, Texts]):
    """The texts of an event's fields, by name."""

    __slots__ = ("data", "event")

    def __init__(self, data: Any, event: object | None = None) -> None:
        self.data: Any = data
        self.event: object | None = event

    def __missing__(self, name: str) -> Texts:
        text: Texts
        data = self.data
        if type(data) is dict and type(value := data.get(name)) is str:  # most are
            text = value
        else:
            text = all_text(data) if name == TEXT else text_of(find_in(data, self.event, name))
        self[name] = text
        return text

    def has(self, name: str) -> bool:
        """Whether the field is there."""
        return find_in(self.data, self.event, name) is not MISSING


class Lowered(dict[str, Texts]):
    """The same in lower case."""

    __slots__ = ("originals",)

    def __init__(self, originals: Originals) -> None:
        self.originals: Originals = originals

    def __missing__(self, name: str) -> Texts:
        originals = self.originals
        data = originals.data
        if type(data) is dict and type(value := data.get(name)) is str:  # most are
            text: Texts = value.lower()
        elif type(text := originals[name]) is str:
            text = text.lower()
        elif text is not None:
            text = tuple([one.lower() for one in text])
        self[name] = text
        return text
