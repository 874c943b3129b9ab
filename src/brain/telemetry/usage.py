"""Usage of models and tools by agent, written in one transaction: each call once, under the agent that made it.

Agents end after their calls, and their spans come later. A call that names no agent waits for the span of the nearest
agent above it, for `parent_seconds`; then it is counted under its service, and never moved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa

from brain.kit.sql import chunks, insert_into, insert_missing
from brain.telemetry import tables
from brain.telemetry.genai import MODEL, Use
from brain.telemetry.pricing import Prices
from brain.telemetry.requests import Calls, Spans
from brain.telemetry.settings import TelemetrySettings

WAITING = 10_000
"""Most calls that wait for their agent; the oldest are counted under their service then."""
RECENT = 20_000
"""About how many plain spans are kept in memory, for calls below them that come later."""
LABELS = 1_000
"""Most different combinations of agent, model and so on in one window; the others are counted as OTHER."""
OTHER = "other"
ANNOUNCED = "usage announced"
"""The mark of the windows of usage that events were published for: those that end by then."""

Key = tuple[str, str, str, str, str]
"""Agent, kind, name, provider, operation."""
_KEY = ("agent", "kind", "name", "provider", "operation")
_SUMS = (
    "calls",
    "errors",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "nanoseconds",
    "cost",
    "unpriced",
)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Use).decode


@dataclass(slots=True)
class Sums:
    """What calls add up to."""

    values: list[int] = field(default_factory=lambda: [0] * len(_SUMS))

    def add(self, use: Use, cost: int | None) -> None:
        """One call; `cost` None where its model has no price."""
        values = self.values
        values[0] += 1
        values[1] += use.error
        values[2] += use.input_tokens
        values[3] += use.output_tokens
        values[4] += use.cached_tokens
        values[5] += use.reasoning_tokens
        values[6] += use.nanoseconds
        values[7] += cost or 0
        values[8] += cost is None

    def join(self, other: Sums) -> None:
        """Add what others added up to."""
        self.values = [one + more for one, more in zip(self.values, other.values, strict=True)]


class UsageBook:
    """Counts calls. All methods run in the caller's transaction."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self.repeated: int = 0
        """Calls that came again and were not counted again."""
        self._settings = settings
        self._prices = Prices(settings.prices)
        self._recent: deque[tuple[float, Spans]] = deque()
        self._recent_spans = 0

    def apply(self, db: sa.Connection, found: Calls, now: float) -> None:
        """Count what a request says."""
        _note_received(db, found, now)
        fresh = self._fresh(db, found.uses, now)
        known: dict[Key, Sums] = {}
        unknown: list[tuple[bytes, bytes, Use]] = []
        for id in fresh:
            parent, use = found.uses[id]
            if use.agent or not parent:
                self._add(known, use, use.agent or use.fallback)
            else:
                unknown.append((id, parent, use))
        waiting = set(db.execute(sa.select(tables.waiting.c.trace).distinct()).scalars())
        early = {trace for trace, _ in found.agents} - {id[:16] for id in found.uses}
        if unknown or waiting or early:
            above = _Ancestors(found, early, now)
            above.remember(self._recent, {id[:16] for id, *_ in unknown})
            self._resolve(db, above, waiting, unknown, known)
        if unknown:
            self._bound(db, now)
        self._write(db, known, now)
        self._keep_recent(found.links, now)

    def _keep_recent(self, links: Spans, now: float) -> None:
        """Keep plain spans for a while: one may come before a call below it that another process sends later."""
        if links:
            self._recent.append((now, links))
            self._recent_spans += len(links)
        oldest = now - self._settings.parent_seconds
        while self._recent and (self._recent_spans > RECENT or self._recent[0][0] <= oldest):
            self._recent_spans -= len(self._recent.popleft()[1])

    def release(self, db: sa.Connection, now: float) -> None:
        """Count the calls that waited for too long under their services, and forget what is too old."""
        self._keep_recent([], now)
        self._give_up(db, tables.waiting.c.at <= now - self._settings.parent_seconds, now)
        db.execute(sa.delete(tables.links).where(tables.links.c.at <= now - self._settings.parent_seconds))
        db.execute(sa.delete(tables.seen).where(tables.seen.c.at <= now - self._settings.repeated_seconds))

    def _fresh(self, db: sa.Connection, uses: Mapping[bytes, object], now: float) -> Collection[bytes]:
        """Those that were not counted before; they are noted as counted."""
        if not uses:
            return ()
        before = _insert_seen(db, uses, int(now))
        if before is None:
            return uses.keys()
        self.repeated += len(before)
        return [id for id in uses if id not in before]

    def _add(self, known: dict[Key, Sums], use: Use, agent: str) -> None:
        cost = self._prices.cost(use) if use.kind == MODEL else 0
        key = (agent, use.kind, use.name, use.provider, use.operation)
        sums = known.get(key)
        if sums is None:
            sums = known[key] = Sums()
        sums.add(use, cost)

    def _resolve(
        self,
        db: sa.Connection,
        above: _Ancestors,
        waiting: set[bytes],
        unknown: list[tuple[bytes, bytes, Use]],
        known: dict[Key, Sums],
    ) -> None:
        """Find the agents of calls: of those that came now, and of those that wait in these traces."""
        waiting &= above.traces
        traces = {id[:16] for id, *_ in unknown} | waiting
        above.load(db, traces)
        self._continue(db, above, waiting, known)
        rows = []
        for id, parent, use in unknown:
            agent, ancestor = above.find(id[:16], parent)
            if ancestor is None:
                self._add(known, use, agent or use.fallback)
            else:
                rows.append({"id": id, "trace": id[:16], "ancestor": ancestor, "at": above.now, "use": _encode(use)})
        insert_missing(db, tables.waiting, rows)
        above.keep(db, traces)

    def _continue(self, db: sa.Connection, above: _Ancestors, traces: set[bytes], known: dict[Key, Sums]) -> None:
        done = []
        for chunk in chunks(list(traces)):
            for row in db.execute(sa.select(tables.waiting).where(tables.waiting.c.trace.in_(chunk))).all():
                agent, ancestor = above.find(row.trace, row.ancestor)
                if ancestor is None:
                    use = _decode(row.use)
                    self._add(known, use, agent or use.fallback)
                    done.append(row.id)
                elif ancestor != row.ancestor:
                    mine = tables.waiting.c.id == row.id
                    db.execute(sa.update(tables.waiting).where(mine).values(ancestor=ancestor))
        _delete_waiting(db, done)

    def _bound(self, db: sa.Connection, now: float) -> None:
        count = db.execute(sa.select(sa.func.count()).select_from(tables.waiting)).scalar_one()
        if count > WAITING:
            oldest = sa.select(tables.waiting.c.id).order_by(tables.waiting.c.at).limit(count - WAITING)
            self._give_up(db, tables.waiting.c.id.in_(oldest), now)

    def _give_up(self, db: sa.Connection, where: sa.ColumnElement[bool], now: float) -> None:
        rows = db.execute(sa.select(tables.waiting.c.id, tables.waiting.c.use).where(where)).all()
        known: dict[Key, Sums] = {}
        for row in rows:
            use = _decode(row.use)
            self._add(known, use, use.fallback)
        _delete_waiting(db, [row.id for row in rows])
        self._write(db, known, now)

    def _write(self, db: sa.Connection, known: Mapping[Key, Sums], now: float) -> None:
        if not known:
            return
        bucket = self.bucket(db, now)
        bounded = _bounded(db, known, bucket)
        rows = [
            {"bucket": bucket, **dict(zip(_KEY, key, strict=True)), **dict(zip(_SUMS, sums.values, strict=True))}
            for key, sums in bounded.items()
        ]
        statement = insert_into(db, tables.usage)
        added = {name: tables.usage.c[name] + statement.excluded[name] for name in _SUMS}
        db.execute(statement.on_conflict_do_update(index_elements=["bucket", *_KEY], set_=added), rows)

    def bucket(self, db: sa.Connection, now: float) -> int:
        """The window that calls are counted in now: never one that is announced, whatever the clock says."""
        width = self._settings.usage_seconds
        return max(int(now // width) * width, announced_until(db))


def announced_until(db: sa.Connection) -> int:
    """The end of the last window of usage that events were published for, in Unix seconds; 0 for none."""
    return db.execute(sa.select(tables.marks.c.at).where(tables.marks.c.name == ANNOUNCED)).scalar() or 0


class _Ancestors:
    """Who is above whom: as this request says, and as earlier ones said."""

    def __init__(self, found: Calls, early: set[bytes], now: float) -> None:
        """`early` are traces with an agent and none of its calls."""
        self.now = now
        self._early = early
        self._agents = {key: name for key, (_, name) in found.agents.items()}
        self._parents = {key: parent for key, (parent, _) in found.agents.items()}
        for trace, span, parent in found.links:
            self._parents[trace, span] = parent
        # A call may be above another one: of a tool that is an agent.
        for id, (parent, _) in found.uses.items():
            self._parents[id[:16], id[16:]] = parent
        self.traces = {trace for trace, _ in self._parents}

    def remember(self, recent: Iterable[tuple[float, Spans]], traces: set[bytes]) -> None:
        """Take what came lately of these traces."""
        if traces:
            for _, links in recent:
                for trace, span, parent in links:
                    if trace in traces:
                        self._parents.setdefault((trace, span), parent)

    def load(self, db: sa.Connection, traces: Collection[bytes]) -> None:
        """Read what is kept of these traces."""
        for chunk in chunks(list(traces)):
            for row in db.execute(sa.select(tables.links).where(tables.links.c.trace.in_(chunk))):
                self._parents.setdefault((row.trace, row.span), row.parent)
                if row.agent:
                    self._agents.setdefault((row.trace, row.span), row.agent)

    def find(self, trace: bytes, ancestor: bytes) -> tuple[str, bytes | None]:
        """The nearest agent from this span upwards, or ""; and the span that must be waited for, None for none."""
        for _ in range(1000):  # a loop of parents ends here
            if agent := self._agents.get((trace, ancestor)):
                return agent, None
            parent = self._parents.get((trace, ancestor))
            if parent is None:
                return "", ancestor
            if not parent:
                return "", None
            ancestor = parent
        return "", None

    def keep(self, db: sa.Connection, traces: set[bytes]) -> None:
        """Keep what is known of these traces, and of those whose calls are still to come."""
        wanted = traces | self._early
        rows = [
            {"trace": key[0], "span": key[1], "parent": parent, "agent": self._agents.get(key, ""), "at": self.now}
            for key, parent in self._parents.items()
            if key[0] in wanted
        ]
        insert_missing(db, tables.links, rows)


def _delete_waiting(db: sa.Connection, ids: list[bytes]) -> None:
    for chunk in chunks(ids):
        db.execute(sa.delete(tables.waiting).where(tables.waiting.c.id.in_(chunk)))


def _insert_seen(db: sa.Connection, ids: Collection[bytes], at: int) -> set[bytes] | None:
    """Note these spans as counted. Those that were before; None when none was, which is nearly always so."""
    mark = "?" if db.dialect.name == "sqlite" else "%s"
    statement = f"INSERT INTO telemetry_seen (id, at) VALUES ({mark}, {mark}) ON CONFLICT DO NOTHING"
    begun = db.begin_nested()
    if db.exec_driver_sql(statement, [(id, at) for id in ids]).rowcount == len(ids):
        begun.commit()
        return None
    begun.rollback()
    before: set[bytes] = set()
    for chunk in chunks(list(ids)):
        before.update(db.execute(sa.select(tables.seen.c.id).where(tables.seen.c.id.in_(chunk))).scalars())
    insert_missing(db, tables.seen, [{"id": id, "at": at} for id in ids if id not in before])
    return before


def _bounded(db: sa.Connection, known: Mapping[Key, Sums], bucket: int) -> Mapping[Key, Sums]:
    """The same with OTHER for those that find no room in the window."""
    columns = [tables.usage.c[name] for name in _KEY]
    in_bucket = tables.usage.c.bucket == bucket
    count = db.execute(sa.select(sa.func.count()).select_from(tables.usage).where(in_bucket)).scalar_one()
    if count + len(known) <= LABELS:
        return known
    there = {tuple(row) for row in db.execute(sa.select(*columns).where(in_bucket))}
    bounded: dict[Key, Sums] = {}
    for key, sums in known.items():
        if key not in there and len(there) >= LABELS:
            key = (OTHER, key[1], OTHER, OTHER, OTHER)
        else:
            there.add(key)
        bounded.setdefault(key, Sums()).join(sums)
    return bounded


def _note_received(db: sa.Connection, found: Calls, now: float) -> None:
    rows = [
        {"service": service, "signal": found.signal, "items": count, "refused": found.refused[service], "last_at": now}
        for service, count in found.items.items()
    ]
    if not rows:
        return
    statement = insert_into(db, tables.received)
    changed = {
        "items": tables.received.c["items"] + statement.excluded["items"],
        "refused": tables.received.c.refused + statement.excluded.refused,
        "last_at": statement.excluded.last_at,
    }
    db.execute(statement.on_conflict_do_update(index_elements=["service", "signal"], set_=changed), rows)
