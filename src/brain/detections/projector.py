"""The consumer: events of the stream through the engine, in one transaction with the position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import sqlalchemy as sa

from brain.charter import Event
from brain.detections.engine import Engine, MemoryStates, StateKey
from brain.detections.loading import Loaded
from brain.detections.models import Detection, LogKind, Rule
from brain.detections.repository import DatabaseStates, store_batch
from brain.detections.ruleset import Record
from brain.kit.projection import Item

PRODUCT = "brain"
"""The product of the stream's own events in a rule's logsource; `service` is the module, `category` the type."""


_WATERMARK = StateKey("watermark", "")


@lru_cache(10_000)
def kind_of(event_type: str) -> LogKind:
    """What an event of the stream is to a rule's logsource."""
    return LogKind((event_type,), (PRODUCT,), (event_type.partition(".")[0],))


def record_of(event: Event) -> Record:
    """The event as rules see it: its payload; the envelope under `event.`."""
    return Record(event.payload, kind_of(event.type), event.timestamp, event.id, event)


def patterns(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The patterns of the stream's events that any of the rules is about."""
    found = []
    for rule in rules:
        wanted = rule.logsource
        if wanted.product not in (None, PRODUCT):
            continue
        if wanted.category is not None and "." in wanted.category:
            found.append(wanted.category)
        elif wanted.service is not None and wanted.product == PRODUCT:
            found.append(f"{wanted.service}.*")
        elif wanted.product == PRODUCT:
            found.append("*")
    return tuple(dict.fromkeys(found))


class DetectionProjector:
    """Feeds batches to an engine. `clock` gives Unix seconds, for the times of rows alone."""

    def __init__(self, loaded: Loaded, clock: Callable[[], float]) -> None:
        self._by_key: Mapping[str, Detection] = {one.about.key: one for one in loaded.detections}
        self._engine = Engine(loaded, MemoryStates())
        self._clock = clock

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """Apply a batch, in the transaction of `db`."""
        self.feed(db, [record_of(item.event) for item in items if item.event is not None])

    def feed(self, db: sa.Connection, records: Sequence[Record]) -> bool:
        """The records through the engine, with states of this transaction; whether there are hits."""
        engine = self._engine
        states = DatabaseStates(db)
        engine.begin(states)
        if engine.has_windows:
            engine.watermark = states.get(_WATERMARK).get("time", 0.0)
        matched = [found for record in records if (found := engine.match(record)) is not None]
        states.prefetch(engine.keys(matched))
        for one in matched:
            engine.take(one)
        if engine.has_windows:
            engine.watermark = max([engine.watermark, *(record.time for record in records)])
            states.get(_WATERMARK)["time"] = engine.watermark
            states.put(_WATERMARK, states.get(_WATERMARK), None)
        return store_batch(db, engine, self._by_key, self._clock())
