"""One run of a tap: its records become events in transactions, and its STATE is saved with the records before it.

A batch is one transaction: up to `batch` records, and the last STATE among them. So the STATE that is stored never
covers a record that is not, whatever is killed; and a record that the tap sends again is known by its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, update

from brain.errors import Conflict, InvalidInput
from brain.kit.database import reachable
from brain.kit.outbox import put_event
from brain.limits import fault_of
from brain.links import drift, repository, tables
from brain.links.announce import announce
from brain.links.events import CURSOR_MOVED, ERROR
from brain.links.inbound import Inbound
from brain.links.item_events import Origin, item_event
from brain.links.mapping import FIELDS_BYTES, Item, map_items
from brain.links.models import CONSUMER, ConnectorStatus, DeliveryState
from brain.links.service import ConnectorService
from brain.links.singer import (
    LINE_BYTES,
    Message,
    Record,
    State,
    StreamSchema,
    content_of,
    in_64_bits,
    key_of,
    read_message,
)
from brain.text import clip_text

_SHOWN_STATE = 8_192
_STREAM = 200
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What a run has done so far."""

    records: int = 0
    """Records that became events."""
    duplicates: int = 0
    states: int = 0


class SingerRun:
    """Takes the lines of a tap. Blocks. Used by one thread."""

    def __init__(self, service: ConnectorService, name: str, committed: Callable[[], None] = lambda: None) -> None:
        """Raises NotFound, and Conflict while the connector is paused. `committed` is called after each batch."""
        inbound = service.inbound.get(name)
        if inbound is None or inbound.settings.kind != "singer":
            raise InvalidInput(
                f'connector {name!r}: is no Singer tap; set kind = "singer" in [connectors.inbound.{name}]'
            )
        service.prepare()
        if service.get(name).status is ConnectorStatus.STOPPED:
            raise Conflict(f"connector {name!r}: is paused; resume it first")
        self.counts: RunCounts = RunCounts()
        self._began_with = service.get(name).cursor
        self._service = service
        self._inbound: Inbound = inbound
        self._committed = committed
        self._declared: set[str] = set()
        self._schemas: dict[str, StreamSchema] = {}  # as of the record that is being stored
        self._batch: list[Message] = []
        self._records = 0
        self._lines = 0

    @property
    def lines(self) -> int:
        """How many lines came."""
        return self._lines

    def take(self, line: bytes) -> None:
        """Take one line; a full batch is stored at once.

        Raises Unavailable, and InvalidInput that names the line; what came before it is stored then.
        """
        self._lines += 1
        try:
            message = self._read(line)
        except InvalidInput as error:
            self.store()
            raise InvalidInput(f"line {self._lines}: {error}") from error
        if message is not None:
            self._batch.append(message)
        if self._records >= self._inbound.settings.batch:
            self.store()

    def _read(self, line: bytes) -> Message | None:
        if len(line) > LINE_BYTES:
            raise InvalidInput(f"has more than {LINE_BYTES} bytes")
        message = read_message(line, self._inbound.settings.decimals)
        if isinstance(message, StreamSchema):
            self._declared.add(message.stream)
        elif isinstance(message, Record):
            if message.stream not in self._declared:
                raise InvalidInput(f"RECORD: no SCHEMA of the stream {message.stream!r} came before it")
            self._records += 1
        return message

    def store(self) -> None:
        """Store what came, in one transaction. Raises InvalidInput for a record of no event, and Unavailable."""
        if not self._batch:
            return
        service, now = self._service, self._service.clock()
        with reachable(service.database), service.database.begin() as db:
            records, duplicates, states = self._write(db, now)
        self._batch, self._records = [], 0
        counts = self.counts
        self.counts = RunCounts(counts.records + records, counts.duplicates + duplicates, counts.states + states)
        self._committed()

    def end(self, error: str | None, context: Mapping[str, Any]) -> None:
        """Announce how the run ended: with a new STATE, with an error, or both. Raises Unavailable."""
        service, name, now = self._service, self._inbound.name, self._service.clock()
        with reachable(service.database), service.database.begin() as db:
            row = repository.find(db, name, lock=True)
            if row.cursor != self._began_with:
                self._announce_cursor(db, row, now)
            if error is None:
                repository.set_status(db, row, ConnectorStatus.OK, "a run of the tap ended well", now)
                return
            payload = {"connector_id": name, "error": clip_text(error), "context": dict(context), "occurred_at": now}
            announce(db, ERROR, payload, now)
            repository.set_status(db, row, ConnectorStatus.ERROR, error, now)

    def _write(self, db: Connection, now: float) -> tuple[int, int, int]:
        name, table = self._inbound.name, tables.connectors
        records, duplicates, states = 0, 0, 0
        for message in self._batch:
            if isinstance(message, Record):
                fresh = self._write_record(db, message, now)
                records, duplicates = records + fresh, duplicates + (not fresh)
            elif isinstance(message, StreamSchema):
                self._schemas[message.stream] = message
                drift.notice(db, name, message.stream, message.types, now, schema=True)
            else:
                states += 1
        repository.count(db, name, now, received=records, duplicates=duplicates)
        last = next((message for message in reversed(self._batch) if isinstance(message, State)), None)
        if last is not None:
            values = {"cursor": last.json, "cursor_at": now}
            db.execute(update(table).where(table.c.name == name).values(**values))
        return records, duplicates, states

    def _write_record(self, db: Connection, record: Record, now: float) -> bool:
        """Put the record's event, unless it is known; whether it was put."""
        digest = hashlib.sha256(content_of(record.values)).hexdigest()
        key, named = key_of(record, self._schemas[record.stream], digest)
        if not repository.claim(db, self._inbound.name, [key], now):
            return False
        item = self._item(record, key, named)
        number = self._keep(db, record, digest, now) if item.cut else None
        origin = Origin(number, digest, len(record.line), _JSON, now)
        put_event(db, CONSUMER, item_event(self._inbound, item, origin), now)
        return True

    def _item(self, record: Record, key: str, named: str | None) -> Item:
        values = in_64_bits(record.values)
        mapping = self._inbound.mapping
        (mapped,) = map_items(mapping, values, {}, "")
        fields = dict(mapped.fields) if mapping.fields else values
        cut = fault_of(fields, FIELDS_BYTES) is not None
        return Item(
            key=key,
            name=clip_text(record.stream, _STREAM),
            subject=mapped.subject or named,
            target=mapped.target,
            correlation_id=mapped.correlation_id,
            occurred_at=mapped.occurred_at,
            fields={} if cut else fields,
            cut=cut,
        )

    def _keep(self, db: Connection, record: Record, digest: str, now: float) -> int:
        """Keep a record that is too large for an event; its number."""
        values = {
            "connector": self._inbound.name,
            "state": DeliveryState.MAPPED.value,
            "received_at": now,
            "remote": None,
            "headers": {"content-type": _JSON},
            "body": record.line,
            "bytes": len(record.line),
            "sha256": digest,
            "events": 1,
        }
        return repository.add_delivery(db, values)

    def _announce_cursor(self, db: Connection, row: Row[Any], now: float) -> None:
        payload = {
            "connector_id": row.name,
            "previous": _shown(self._began_with),
            "cursor": _shown(row.cursor),
            "records": self.counts.records,
            "duplicates": self.counts.duplicates,
            "moved_at": now,
        }
        announce(db, CURSOR_MOVED, payload, now)


def _shown(state: str | None) -> Any:
    """A STATE as an event has it: a long one by its hash."""
    if state is None:
        return None
    value, data = msgspec.json.decode(state), state.encode()
    if len(data) <= _SHOWN_STATE and fault_of(value, _SHOWN_STATE) is None:
        return value
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
