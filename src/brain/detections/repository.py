"""States and hits in the consumers' database: one batch of events is one transaction of the caller."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from brain.charter import VERSION, Event
from brain.detections.engine import Engine, Hit, StateKey
from brain.detections.events import HIT_OPENED
from brain.detections.machines import Memory
from brain.detections.models import Detection
from brain.detections.tables import CONSUMER, dropped, hits, states
from brain.kit.outbox import put_event
from brain.kit.sql import chunks, upsert
from brain.text import clip_text
from brain.typed import ready

_LONG = 2_000  # bytes from which a memory is deflated


class DatabaseStates:
    """The States of one batch, over a connection; `store` writes what was changed."""

    def __init__(self, db: sa.Connection) -> None:
        self._db = db
        self._known: dict[StateKey, Memory] = {}
        self._changed: dict[StateKey, float | None] = {}
        self._due_at = _first_due(db)

    def get(self, key: StateKey) -> Memory:
        """As States says."""
        memory = self._known.get(key)
        if memory is None:
            mine = (states.c.detection == key.detection, states.c.group_id == key.group)
            stored = self._db.execute(sa.select(states.c.memory).where(*mine)).scalar()
            memory = self._known[key] = {} if stored is None else _read(stored)
        return memory

    def has(self, key: StateKey) -> bool:
        """As States says."""
        return bool(self.get(key))

    def prefetch(self, keys: Sequence[StateKey]) -> None:
        """Read these memories at once."""
        wanted = [key for key in keys if key not in self._known]
        pair = sa.tuple_(states.c.detection, states.c.group_id)
        for some in chunks(wanted):
            query = sa.select(states.c.detection, states.c.group_id, states.c.memory).where(pair.in_([*some]))
            for detection, group, memory in self._db.execute(query):
                self._known[StateKey(detection, group)] = _read(memory)
        for key in wanted:
            self._known.setdefault(key, {})

    def put(self, key: StateKey, memory: Memory, due: float | None) -> None:
        """As States says."""
        self._changed[key] = due
        if due is not None:
            self._due_at = due if self._due_at is None else min(self._due_at, due)

    def due(self, now: float) -> Sequence[tuple[StateKey, Memory]]:
        """As States says."""
        if self._due_at is None or self._due_at >= now:
            return []
        query = sa.select(states.c.detection, states.c.group_id, states.c.due).where(states.c.due < now)
        found = {StateKey(one, group): at for one, group, at in self._db.execute(query)}
        for key, at in self._changed.items():
            found.pop(key, None)
            if at is not None and at < now:
                found[key] = at
        return [(key, self.get(key)) for key in sorted(found, key=lambda key: (found[key], key))]

    def store(self, now: float) -> None:
        """Write what was changed."""
        rows = [
            {"detection": key.detection, "group_id": key.group, "memory": _written(self._known[key]), "due": due,
             "used_at": now}
            for key, due in sorted(self._changed.items())
        ]  # fmt: skip
        for some in chunks(rows):
            upsert(self._db, states, some)
        self._changed.clear()


def _first_due(db: sa.Connection) -> float | None:
    first: float | None = db.execute(sa.select(sa.func.min(states.c.due))).scalar()
    return first


def _written(memory: Memory) -> bytes:
    data = msgspec.json.encode(memory)
    return zlib.compress(data, 1) if len(data) > _LONG else data


def _read(data: bytes) -> Memory:
    return msgspec.json.decode(data if data[:1] == b"{" else zlib.decompress(data), type=ready(dict[str, Any]))


def store_batch(db: sa.Connection, engine: Engine, by_key: Mapping[str, Detection], now: float) -> bool:
    """Write what a batch did: states, hits with their events, what was dropped. Whether there are hits."""
    engine.end_windows()
    assert isinstance(engine.states, DatabaseStates)
    found = engine.drain()
    engine.states.store(now)
    store_hits(db, found, by_key, now)
    add_dropped(db, engine.dropped)
    engine.dropped.clear()
    return bool(found)


def store_hits(db: sa.Connection, found: Sequence[Hit], by_key: Mapping[str, Detection], now: float) -> None:
    """Write hits as they are now, and announce those that are new."""
    if not found:
        return
    known: set[str] = set()
    for some in chunks([hit.id for hit in found]):
        known.update(db.execute(sa.select(hits.c.id).where(hits.c.id.in_(some))).scalars())
    rows = [_row(hit, by_key[hit.detection]) for hit in found]
    for some_rows in chunks(rows):
        upsert(db, hits, some_rows, keep=("reported", "threat"))
    for hit in found:
        if hit.id not in known:
            put_event(db, CONSUMER, _event(hit, by_key[hit.detection]), now)


def _row(hit: Hit, detection: Detection) -> dict[str, Any]:
    about = detection.about
    body = {
        "group": dict(hit.group), "values": dict(hit.values), "events": list(hit.events), "tags": list(about.tags),
        "description": about.description, "correlation_id": hit.correlation_id,
    }  # fmt: skip
    return {
        "id": hit.id, "detection": about.key[:200], "name": about.name[:200], "title": about.title,
        "level": about.level, "source": _stored_text(hit.source), "body": body, "opened_at": hit.opened_at,
        "last_at": hit.last_at, "count": hit.count, "reported": 0, "threat": None,
    }  # fmt: skip


def _stored_text(text: str) -> str:
    """PostgreSQL stores no NUL, and neither database a lone surrogate."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _event(hit: Hit, detection: Detection) -> Event:
    about = detection.about
    meta: dict[str, Any] = {"correlation_id": hit.correlation_id or hit.id, "version": VERSION}
    if hit.events[-1].startswith("evt_"):
        meta["causation_id"] = hit.events[-1]
    return Event(
        type=HIT_OPENED.name,
        source="detections_service",
        payload={
            "hit_id": hit.id, "detection": about.key, "name": about.name, "title": clip_text(about.title, 500),
            "level": about.level, "tags": list(about.tags), "source": _stored_text(hit.source),
            "group": {name: _stored_text(value) for name, value in hit.group.items()}, "opened_at": hit.opened_at,
            "count": hit.count, "events": list(hit.events),
        },
        meta=meta,
    )  # fmt: skip


def add_dropped(db: sa.Connection, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to what was dropped."""
    for (detection, reason), count in sorted(counts.items()):
        mine = (dropped.c.detection == detection[:200], dropped.c.reason == reason)
        changed = db.execute(sa.update(dropped).where(*mine).values(count=dropped.c.count + count))
        if not changed.rowcount:
            db.execute(sa.insert(dropped).values(detection=detection[:200], reason=reason, count=count))


class WaitingHit(msgspec.Struct, frozen=True):
    """A hit whose threat does not have its count yet."""

    id: str
    name: str
    title: str
    level: str
    source: str
    body: Mapping[str, Any]
    opened_at: float
    last_at: float
    count: int


def waiting_hits(db: sa.Connection, *, new: bool, limit: int = 100) -> list[WaitingHit]:
    """Hits to report, the oldest first: those that never were, or those that have grown."""
    wanted = hits.c.reported == 0 if new else sa.and_(hits.c.reported > 0, hits.c.reported < hits.c.count)
    columns = [hits.c[name] for name in WaitingHit.__struct_fields__]
    query = sa.select(*columns).where(wanted).order_by(hits.c.opened_at, hits.c.id).limit(limit)
    return [WaitingHit(*row) for row in db.execute(query)]


def mark_reported(db: sa.Connection, hit: WaitingHit, threat: str | None) -> None:
    """Note that the threat has this count."""
    db.execute(sa.update(hits).where(hits.c.id == hit.id).values(reported=hit.count, threat=threat))


def forget_groups(db: sa.Connection, most: int) -> int:
    """Forget the groups beyond `most` of a detection that were unused for longest; how many."""
    many = sa.select(states.c.detection).group_by(states.c.detection).having(sa.func.count() > most)
    forgotten = 0
    for detection in db.execute(many).scalars().all():
        mine = states.c.detection == detection
        newest = sa.select(states.c.used_at).where(mine).order_by(states.c.used_at.desc()).offset(most).limit(1)
        limit = db.execute(newest).scalar()
        if limit is not None:
            forgotten += db.execute(sa.delete(states).where(mine, states.c.used_at <= limit)).rowcount
    return forgotten
