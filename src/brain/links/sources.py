"""Where a mapping takes values from: a path in the item or in the body, a header, or a fixed text.

$.pull_request.number      in the item; `['a name']`, `[0]` and `[-1]` work too (the singular paths of RFC 9535)
body:$.receiver            in the whole body, where the mapping takes several items out of one body
header:x-github-event      a header, by its name in lower case
=alert                     this text
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from brain.errors import InvalidInput
from brain.limits import MOMENT, shown

_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_\-]*)|\[(-?\d{1,6})\]|\['([^'\\]+)'\]")


@dataclass(frozen=True, slots=True)
class Source:
    """One place that a value is taken from."""

    kind: Literal["item", "body", "header", "text"]
    text: str
    steps: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """What a mapping sees of one item. Headers by lower-case name."""

    item: Any
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def parse_source(text: str) -> Source:
    """The place that the text names. Raises InvalidInput."""
    if text.startswith("="):
        return Source("text", text[1:])
    if text.startswith("header:"):
        return Source("header", text.removeprefix("header:").strip().lower())
    if text.startswith("body:"):
        return Source("body", text, parse_path(text.removeprefix("body:")))
    return Source("item", text, parse_path(text))


def parse_path(text: str) -> tuple[str | int, ...]:
    """The names and places of a path. Raises InvalidInput."""
    if not text.startswith("$"):
        raise InvalidInput(f"{shown(text)}: begin with $ (a path), header:, body:$ or = (a fixed text)")
    steps: list[str | int] = []
    place = 1
    while place < len(text):
        found = _STEP.match(text, place)
        if found is None:
            raise InvalidInput(
                f"{shown(text)}: {text[place:][:40]!r} is no step of a path; write .name, ['a name'], [0]"
            )
        name, number, quoted = found.groups()
        steps.append(int(number) if number is not None else name or quoted)
        place = found.end()
    return tuple(steps)


def follow(value: Any, steps: Sequence[str | int]) -> Any:
    """What is at the path; None where there is nothing."""
    for step in steps:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
        if value is None:
            return None
    return value


def read(source: Source, scene: Scene) -> Any:
    """The value at a place; None where there is none."""
    match source.kind:
        case "text":
            return source.text
        case "header":
            return scene.headers.get(source.text) or None
        case "body":
            return follow(scene.body, source.steps)
        case _:
            return follow(scene.item, source.steps)


def first(sources: Sequence[Source], scene: Scene) -> Any:
    """The first value that is there; None when none is."""
    for source in sources:
        if (value := read(source, scene)) is not None:
            return value
    return None


def moment(value: Any) -> float | None:
    """A time in Unix seconds, from ISO 8601 with a zone, seconds or milliseconds; None for anything else."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        seconds = value / 1000 if value >= MOMENT else float(value)
    elif isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        if parsed.tzinfo is None:
            return None
        seconds = parsed.timestamp()
    else:
        return None
    return seconds if 0 < seconds < MOMENT else None
