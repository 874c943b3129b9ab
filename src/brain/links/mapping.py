"""What a delivery becomes: items, each with a key that it is known by and the values of its event.

The mapping of a kind is in mappings.toml. A table `[connectors.inbound.NAME.mapping]` takes its place, key by key.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from brain.errors import InvalidInput
from brain.limits import fault_of
from brain.links.sources import Scene, Source, first, follow, moment, parse_path, parse_source
from brain.text import clip_text, one_line

FIELDS_BYTES = 32_768
"""Most bytes of an event's fields as JSON; larger ones are only in the delivery."""
ITEMS = 1_000
"""Most items of one delivery."""
_TEXT = 500
_NAME = 200

Alternatives = tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class FieldMapping:
    """Where the values of an event come from, read from the settings. The first value that is there is taken."""

    type: str
    items: tuple[str | int, ...] | None
    key: tuple[Alternatives, ...]
    name: tuple[Alternatives, ...]
    subject: Alternatives
    target: Alternatives
    correlation_id: Alternatives
    occurred_at: Alternatives
    fields: Mapping[str, Alternatives]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a delivery, mapped."""

    key: str
    """What the sender knows it by; at most 200 characters."""
    name: str
    subject: str | None
    target: str | None
    correlation_id: str | None
    occurred_at: float | None
    fields: Mapping[str, Any]
    cut: bool
    """Whether the fields were too large, and are left out."""


@cache
def shipped() -> Mapping[str, Mapping[str, Any]]:
    """The mappings of the kinds, as their file has them."""
    return tomllib.loads(files("brain.links").joinpath("mappings.toml").read_text("utf-8"))


def parse_mapping(kind: str, table: Mapping[str, Any]) -> FieldMapping:
    """The mapping of a kind with the keys of `table` in the place of its own. Raises InvalidInput."""
    base = shipped().get(kind, {})
    whole = {"type": "connector.received", **base, **table}
    whole["fields"] = table["fields"] if table.get("fields") else base.get("fields", {})
    items = whole.get("items")
    return FieldMapping(
        type=whole["type"],
        items=parse_path(items) if items else None,
        key=tuple(_alternatives(part) for part in _listed(whole.get("key", ()))),
        name=tuple(_alternatives(part) for part in _listed(whole.get("name", ()))),
        subject=_alternatives(whole.get("subject", ())),
        target=_alternatives(whole.get("target", ())),
        correlation_id=_alternatives(whole.get("correlation_id", ())),
        occurred_at=_alternatives(whole.get("occurred_at", ())),
        fields={name: _alternatives(sources) for name, sources in whole["fields"].items()},
    )


def _listed(value: Any) -> Sequence[Any]:
    return [value] if isinstance(value, str) else value


def _alternatives(value: Any) -> Alternatives:
    return tuple(parse_source(text) for text in _listed(value))


def map_items(mapping: FieldMapping, document: Any, headers: Mapping[str, str], digest: str) -> Iterator[Item]:
    """The items of a body; `digest` is the key of one that names none. Raises InvalidInput where there are no items."""
    for number, one in enumerate(_items(mapping, document)):
        scene = Scene(one, document, headers)
        fields = {
            name: value for name, sources in mapping.fields.items() if (value := first(sources, scene)) is not None
        }
        cut = fault_of(fields, FIELDS_BYTES) is not None
        parts = [first(part, scene) for part in mapping.key]
        yield Item(
            key=joined_key(parts) or f"sha256:{digest}:{number}",
            name=_name(mapping, scene),
            subject=_text(first(mapping.subject, scene)),
            target=_text(first(mapping.target, scene)),
            correlation_id=_text(first(mapping.correlation_id, scene)),
            occurred_at=moment(first(mapping.occurred_at, scene)),
            fields={} if cut else fields,
            cut=cut,
        )


def joined_key(parts: Sequence[Any]) -> str | None:
    """One text for these values, another one for all others; None where there are none, or one is null.

    Values without blanks are joined by one, so that people know the key again; others give a hash.
    """
    if not parts or any(part is None or part == "" for part in parts):
        return None
    plain = [part if isinstance(part, str) else msgspec.json.encode(part, order="sorted").decode() for part in parts]
    text = " ".join(plain)
    if len(text) <= _NAME and text.isprintable() and not any(" " in part for part in plain):
        return text
    return f"sha256:{hashlib.sha256(msgspec.json.encode(plain)).hexdigest()}"


def _items(mapping: FieldMapping, document: Any) -> Sequence[Any]:
    if mapping.items is None:
        return [document]
    found = follow(document, mapping.items)
    if not isinstance(found, list):
        raise InvalidInput("body: has no list at the path that the mapping takes its items from")
    if len(found) > ITEMS:
        raise InvalidInput(f"body: has {len(found)} items, {ITEMS} are taken at once; send them in several deliveries")
    return found


def _name(mapping: FieldMapping, scene: Scene) -> str:
    parts = [_text(first(part, scene)) for part in mapping.name]
    return clip_text(".".join(part for part in parts if part), _NAME) or "unnamed"


def _text(value: Any) -> str | None:
    """A value as one line of text; None for what is no plain value, or empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return one_line(str(value), _TEXT) or None
