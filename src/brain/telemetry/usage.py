"""Usage of models and tools by agent, written in one transaction: each call once, under the agent that made it.

Agents end after their calls, and their spans come later. A call that names no agent waits for the span of the nearest
agent above it, for `parent_seconds`; then it is counted under its service, and never moved.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import msgspec
import sqlalchemy as sa

from brain.kit.sql import add_to, chunks, insert_missing
from brain.logs import Log
from brain.telemetry import tables
from brain.telemetry.counted import Counted
from brain.telemetry.genai import Labels
from brain.telemetry.pricing import Prices
from brain.telemetry.requests import Call, Calls, Spans, joined
from brain.telemetry.settings import TelemetrySettings
from brain.typed import ready

log: Log = Log("brain.telemetry")

WAITING = 10_000
"""Most calls that wait for their agent; the oldest are counted under their service then."""
RECENT = 20_000
"""About how many plain spans are kept in memory, for calls below them that come later."""
LABELS = 1_000
"""Most different combinations of agent, model and so on in one window; the others are counted as OTHER."""
MOST_COST = 1 << 56
"""About 72,000 of the currency: beyond it the cost of a transaction's calls of one kind is nonsense."""
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


_IN_BUCKET = tables.usage.c.bucket == sa.bindparam("bucket")
# Made once: to make a statement costs more than to run it.
_WAITING = sa.select(tables.waiting.c.trace).distinct()
_UNTIL = sa.select(tables.marks.c.at).where(tables.marks.c.name == ANNOUNCED)
_COUNT = sa.select(sa.func.count()).select_from(tables.usage).where(_IN_BUCKET)
_KEYS = sa.select(*(tables.usage.c[name] for name in _KEY)).where(_IN_BUCKET)


class WaitingCall(msgspec.Struct, array_like=True, gc=False):
    """A call that waits for its agent, as it is stored."""

    kind: str
    name: str
    provider: str
    operation: str
    agent: str
    fallback: str
    asked: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    nanoseconds: int = 0
    error: bool = False

    @classmethod
    def of(cls, labels: Labels, call: Call) -> WaitingCall:
        """The call with its labels."""
        return msgspec.convert((*_labels(labels), *call[2:]), ready(cls))

    def both(self) -> tuple[Labels, Call]:
        """Its labels, and the call without its ids."""
        labels = Labels(self.kind, self.name, self.provider, self.operation, self.agent, self.fallback, self.asked)
        tokens = (self.input_tokens, self.output_tokens, self.cached_tokens, self.reasoning_tokens)
        return labels, (b"", b"", *tokens, self.nanoseconds, self.error)


_labels = attrgetter(*WaitingCall.__struct_fields__[:7])
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ready(WaitingCall)).decode


@dataclass(slots=True)
class Sums:
    """What calls add up to, in the order of the columns."""

    values: list[int] = field(default_factory=lambda: [0] * len(_SUMS))

    def join(self, values: Iterable[int]) -> None:
        """Add what others added up to."""
        self.values = [one + more for one, more in zip(self.values, values, strict=True)]


class UsageBook:
    """Counts calls. All methods run in the caller's transaction."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self.repeated: int = 0
        """Calls that came again and were not counted again."""
        self._settings = settings
        self._prices = Prices(settings.prices)
        self._counted = Counted(settings.repeated_seconds)
        self._recent: deque[tuple[float, Spans]] = deque()
        self._recent_spans = 0

    def apply(self, db: sa.Connection, requests: Sequence[Calls], now: float) -> None:
        """Count what these requests say."""
        _note_received(db, requests, now)
        found = joined(requests)
        known: dict[Key, Sums] = {}
        unknown: list[tuple[Labels, Call]] = []
        for labels, calls in self._fresh(db, found.calls, now).items():
            if labels.agent:
                self._add(known, labels, labels.agent, calls)
                continue
            below = [call for call in calls if call[1]]
            unknown += [(labels, call) for call in below]
            self._add(known, labels, labels.fallback, [call for call in calls if not call[1]] if below else calls)
        waiting = set(db.execute(_WAITING).scalars())
        early = {trace for trace, _ in found.agents}
        if early:
            early -= {call[0][:16] for calls in found.calls.values() for call in calls}
        if unknown or waiting or early:
            above = _Ancestors(found, early, now)
            above.remember(self._recent, {call[0][:16] for _, call in unknown})
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
        self._counted.forget(db, now)

    def _fresh(self, db: sa.Connection, found: Mapping[Labels, list[Call]], now: float) -> Mapping[Labels, list[Call]]:
        """Those that were not counted before; they are noted as counted."""
        ids = {call[0] for calls in found.values() for call in calls}
        if not ids:
            return {}
        before = self._counted.add(db, ids, now)
        self.repeated += len(before)
        if not before and len(ids) == sum(len(calls) for calls in found.values()):
            return found
        fresh = ids - before
        once: dict[bytes, tuple[Labels, Call]] = {}
        for labels, calls in found.items():
            once |= {call[0]: (labels, call) for call in calls if call[0] in fresh}
        kept: defaultdict[Labels, list[Call]] = defaultdict(list)
        for labels, call in once.values():
            kept[labels].append(call)
        return kept

    def _add(self, known: dict[Key, Sums], labels: Labels, agent: str, calls: Sequence[Call]) -> None:
        """Count calls of the same labels under this agent."""
        if not calls:
            return
        _, _, *columns = zip(*calls, strict=True)
        tokens, answered, cached, reasoning, nanoseconds, errors = (sum(column) for column in columns)
        cost = self._prices.cost(labels, tokens, answered, cached)
        if cost is not None and cost > MOST_COST:
            log.warning("a cost is nonsense, and is counted as unpriced", agent=agent, model=labels.name, cost=cost)
            cost = None
        unpriced = len(calls) if cost is None else 0
        key = (agent, labels.kind, labels.name, labels.provider, labels.operation)
        values = (len(calls), errors, tokens, answered, cached, reasoning, nanoseconds, cost or 0, unpriced)
        known.setdefault(key, Sums()).join(values)

    def _resolve(
        self,
        db: sa.Connection,
        above: _Ancestors,
        waiting: set[bytes],
        unknown: list[tuple[Labels, Call]],
        known: dict[Key, Sums],
    ) -> None:
        """Find the agents of calls: of those that came now, and of those that wait in these traces."""
        waiting &= above.traces
        traces = {call[0][:16] for _, call in unknown} | waiting
        above.load(db, traces)
        self._continue(db, above, waiting, known)
        rows = []
        resolved: defaultdict[tuple[Labels, str], list[Call]] = defaultdict(list)
        for labels, call in unknown:
            id, parent, *_ = call
            agent, ancestor = above.find(id[:16], parent)
            if ancestor is None:
                resolved[labels, agent or labels.fallback].append(call)
            else:
                use = _encode(WaitingCall.of(labels, call))
                rows.append({"id": id, "trace": id[:16], "ancestor": ancestor, "at": above.now, "use": use})
        for (labels, name), calls in resolved.items():
            self._add(known, labels, name, calls)
        insert_missing(db, tables.waiting, rows)
        above.keep(db, traces)

    def _continue(self, db: sa.Connection, above: _Ancestors, traces: set[bytes], known: dict[Key, Sums]) -> None:
        done = []
        for chunk in chunks(list(traces)):
            for row in db.execute(sa.select(tables.waiting).where(tables.waiting.c.trace.in_(chunk))).all():
                agent, ancestor = above.find(row.trace, row.ancestor)
                if ancestor is None:
                    labels, call = _decode(row.use).both()
                    self._add(known, labels, agent or labels.fallback, [call])
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
            labels, call = _decode(row.use).both()
            self._add(known, labels, labels.fallback, [call])
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
        add_to(db, tables.usage, rows, _SUMS)

    def bucket(self, db: sa.Connection, now: float) -> int:
        """The window that calls are counted in now: never one that is announced, whatever the clock says."""
        width = self._settings.usage_seconds
        return max(int(now // width) * width, announced_until(db))


def announced_until(db: sa.Connection) -> int:
    """The end of the last window of usage that events were published for, in Unix seconds; 0 for none."""
    return db.execute(_UNTIL).scalar() or 0


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
        for calls in found.calls.values():
            for id, parent, *_ in calls:
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


def _bounded(db: sa.Connection, known: Mapping[Key, Sums], bucket: int) -> Mapping[Key, Sums]:
    """The same with OTHER for those that find no room in the window."""
    count = db.execute(_COUNT, {"bucket": bucket}).scalar_one()
    if count + len(known) <= LABELS:
        return known
    there = {tuple(row) for row in db.execute(_KEYS, {"bucket": bucket})}
    bounded: dict[Key, Sums] = {}
    for key, sums in known.items():
        if key not in there and len(there) >= LABELS:
            key = (OTHER, key[1], OTHER, OTHER, OTHER)
        else:
            there.add(key)
        bounded.setdefault(key, Sums()).join(sums.values)
    return bounded


def _note_received(db: sa.Connection, requests: Iterable[Calls], now: float) -> None:
    items: Counter[tuple[str, str]] = Counter()
    refused: Counter[tuple[str, str]] = Counter()
    for one in requests:
        for service, count in one.items.items():
            items[service, one.signal] += count
            refused[service, one.signal] += one.refused[service]
    rows = [
        {"service": service, "signal": signal, "items": count, "refused": refused[service, signal], "last_at": now}
        for (service, signal), count in items.items()
    ]
    add_to(db, tables.received, rows, ("items", "refused"), latest=("last_at",))
