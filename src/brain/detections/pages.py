"""Pages of recorded events, matched: which of them any rule matches, with the texts that are asked for afterwards.

To match an event needs no other one, so a page can be matched by any process; what came of it is taken in the order of
the stream. `pack` and `unpack` carry it from one process to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from brain.charter import Pattern
from brain.detections.engine import Engine, Matched, MemoryStates
from brain.detections.loading import Loaded
from brain.detections.projector import kind_of, patterns
from brain.detections.ruleset import Record
from brain.detections.values import Originals
from brain.typed import ready

NEVER = float("-inf")


class _Envelope(msgspec.Struct, gc=False):
    """What is looked at of every event."""

    type: str


class _Wire(msgspec.Struct, gc=False):
    """What rules see of an event; a quarter of the cost of the whole envelope."""

    id: str
    type: str
    source: str
    timestamp: float
    payload: dict[str, Any]
    target: str | None = None
    meta: dict[str, Any] = {}

    @property
    def correlation_id(self) -> str | None:
        """As that of Event."""
        value: str | None = self.meta.get("correlation_id")
        return value


class MatchedPage(NamedTuple):
    """What came of a page of events."""

    events: int
    seen: int
    """How many were of types that a rule is about, and of the time that was asked for."""
    latest: float
    """The latest time of those."""
    matches: Sequence[tuple[float, Matched]]
    """Each with the latest time of those up to it."""


class _Packed(msgspec.Struct, array_like=True, gc=False):
    events: int
    seen: int
    latest: float
    rules: list[list[int]]
    """The sets of rules that matched, each by the rules' numbers."""
    found: list[tuple[float, float, str, str | None, int, list[str | list[str] | None]]]
    """For each match its latest time, its own, its id, its correlation id, the number of its set, and its texts."""


class PageMatcher:
    """Matches pages of a stream, of the events from `since` to `until` in Unix seconds."""

    def __init__(self, loaded: Loaded, since: float, until: float) -> None:
        self._engine = Engine(loaded, MemoryStates())
        self._rules = loaded.rules
        self._numbers = {rule.about.key: number for number, rule in enumerate(loaded.rules)}
        self._fields: dict[tuple[int, ...], tuple[str, ...]] = {}
        self._span = since, until
        wanted = patterns(loaded.rules)
        self._pattern = Pattern(list(wanted)) if wanted else None
        self._wanted: dict[str, bool] = {}
        self._look = msgspec.json.Decoder(ready(_Envelope)).decode
        self._decode = msgspec.json.Decoder(ready(_Wire)).decode
        self._unpack = msgspec.msgpack.Decoder(ready(_Packed)).decode

    def match(self, page: Sequence[bytes]) -> MatchedPage:
        """What comes of the page."""
        since, until = self._span
        seen, latest, matches, match = 0, NEVER, [], self._engine.match
        for data in page:
            event = self._event(data)
            if event is None or not since <= event.timestamp < until:
                continue
            seen += 1
            if event.timestamp > latest:
                latest = event.timestamp
            matched = match(Record(event.payload, kind_of(event.type), event.timestamp, event.id, event))
            if matched is not None:
                matches.append((latest, matched))
        return MatchedPage(len(page), seen, latest, matches)

    def _event(self, data: bytes) -> _Wire | None:
        """The event; None where it is of a type that no rule is about."""
        try:
            kind = self._look(data).type
            wanted = self._wanted.get(kind)
            if wanted is None:
                wanted = self._wanted[kind] = self._pattern is not None and self._pattern.matches(kind)
            return self._decode(data) if wanted else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # no event: whoever consumes the stream says so

    def pack(self, page: MatchedPage) -> bytes:
        """The page as bytes, with those texts alone that an engine may ask for."""
        sets: dict[tuple[int, ...], int] = {}
        found: list[Any] = []
        for latest, one in page.matches:
            rules = tuple([self._numbers[rule.about.key] for rule in one.rules])
            texts = [one.texts[field] for field in self._fields_of(rules)]
            found.append((latest, one.time, one.id, one.correlation_id, sets.setdefault(rules, len(sets)), texts))
        return msgspec.msgpack.encode((page.events, page.seen, page.latest, list(sets), found))

    def unpack(self, data: bytes) -> MatchedPage:
        """The page that was packed."""
        packed = self._unpack(data)
        sets = [([self._rules[number] for number in rules], self._fields_of(tuple(rules))) for rules in packed.rules]
        matches = []
        for latest, time, id, correlation_id, number, found in packed.found:
            rules, fields = sets[number]
            texts = Originals(None)
            for field, text in zip(fields, found, strict=True):
                texts[field] = tuple(text) if isinstance(text, list) else text
            matches.append((latest, Matched(time, id, correlation_id, rules, texts)))
        return MatchedPage(packed.events, packed.seen, packed.latest, matches)

    def _fields_of(self, rules: tuple[int, ...]) -> tuple[str, ...]:
        fields = self._fields.get(rules)
        if fields is None:
            fields = self._engine.fields_after([self._rules[number] for number in rules])
            self._fields[rules] = fields
        return fields
