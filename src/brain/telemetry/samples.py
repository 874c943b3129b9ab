"""Samples of sources, written in one transaction with the position of their source: each counts once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import sqlalchemy as sa

from brain.charter import Event, HealthKind, HealthSeverity
from brain.errors import InvalidInput
from brain.kit.outbox import put_event, put_health
from brain.kit.protocols import HealthReport
from brain.kit.sql import upsert
from brain.kit.windows import Window, start_of
from brain.redaction import is_clean, redacted_text
from brain.telemetry import announce, tables
from brain.telemetry.plugin import PLUGIN
from brain.telemetry.settings import TelemetrySettings
from brain.typed import ready

if TYPE_CHECKING:
    from brain.telemetry.crossings import Crossing

NAMES = 1_000
"""Most values of one sample."""
LATEST = 4_102_444_800.0
"""The year 2100, in Unix seconds: a time beyond it is in other units."""

_FIGURES = ("count", "sum", "least", "most", "last")  # of a Window, in its order

LIVE, STALE, CLOSED = "live", "stale", "closed"


class Sample(msgspec.Struct):
    """One line of a source: its number, the time in Unix seconds, the values by name."""

    seq: int
    values: dict[str, float]
    t: float | None = None


class _Given(msgspec.Struct):
    seq: int
    values: dict[str, float | bool]
    t: float | None = None


_decoder = msgspec.json.Decoder(ready(_Given))


def read_samples(text: str | bytes) -> list[Sample]:
    """The samples in the lines of a message. Raises InvalidInput that names the fault."""
    found = []
    for line in text.split("\n") if isinstance(text, str) else text.split(b"\n"):
        if line.strip():
            found.append(_read(line))
    return found


def _read(line: str | bytes) -> Sample:
    try:
        given = _decoder.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise InvalidInput(f"sample: is not {{seq, t, values}} in JSON: {error}") from error
    if not 1 <= given.seq < 1 << 62:
        raise InvalidInput("seq: must be a whole number from 1 on, one more for each sample")
    if given.t is not None and not 0 <= given.t <= LATEST:
        raise InvalidInput("t: must be a time in Unix seconds, not in other units")
    if len(given.values) > NAMES:
        raise InvalidInput(f"values: there are {len(given.values)}; send at most {NAMES} in a sample")
    for name, value in given.values.items():
        if not 0 < len(name) <= tables.NAME or not name.isprintable():
            raise InvalidInput(f"values: {name[:50]!r} is no name; give 1 to {tables.NAME} printable characters")
        if not isfinite(value):
            raise InvalidInput(f"values: {name[:50]} is not a finite number; leave it out")
    return Sample(given.seq, {_kept(name): float(value) for name, value in given.values.items()}, given.t)


def _kept(name: str) -> str:
    """The name, with marks for secrets in it."""
    return name if is_clean(name) else redacted_text(name)[: tables.NAME]


@dataclass
class Stored:
    """What was stored: up to which number, and the samples that were new."""

    seq: int
    fresh: list[Sample] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    """The limits that were crossed or cleared."""
    replaced: bool = False
    """Another connection has the source now: nothing was stored."""


class LimitStates(Protocol):
    """Limits on the samples of a source; brain.telemetry.crossings has them."""

    def apply(self, source: str, text: str, samples: Sequence[Sample], now: float) -> tuple[str, list[Crossing]]:
        """The states after these samples, from those before as text; and what was crossed or cleared."""
        ...


class SampleWriter:
    """Writes samples, in the caller's transaction."""

    def __init__(self, settings: TelemetrySettings, limits: LimitStates) -> None:
        self._settings = settings
        self._limits = limits

    def apply(self, db: sa.Connection, source: str, connection: str, samples: Sequence[Sample], now: float) -> Stored:
        """Store those of the samples that are new, in their order."""
        row = db.execute(sa.select(tables.sources).where(tables.sources.c.id == source)).one_or_none()
        if row is None or row.connection != connection:
            return Stored(0, replaced=True)
        stored, gaps = _numbered(row, samples)
        events = [announce.gap(source, first, last) for first, last in gaps]
        if row.state == STALE:
            events.append(announce.recovered(source, row.seen_at, now))
        changes: dict[str, Any] = {
            "seq": stored.seq,
            "state": LIVE,
            "seen_at": now,
            "samples": row.samples + len(stored.fresh),
            "lost": row.lost + sum(last - first + 1 for first, last in gaps),
            "repeated": row.repeated + len(samples) - len(stored.fresh),
        }
        if stored.fresh:
            last = stored.fresh[-1].t
            changes["measured_at"] = now if last is None else last
            changes["crossed"], stored.crossings = self._limits.apply(source, row.crossed, stored.fresh, now)
            events += [announce.limit(source, crossing) for crossing in stored.crossings]
            events += self._add(db, row, stored.fresh, changes, now)
        db.execute(sa.update(tables.sources).where(tables.sources.c.id == source).values(changes))
        for event in events:
            put_event(db, PLUGIN.name, event, now)
        for crossing in stored.crossings:
            if crossing.change.crossed:
                put_health(db, PLUGIN.name, _exhaustion(source, crossing), now)
        return stored

    def _add(
        self, db: sa.Connection, row: sa.Row[Any], fresh: Sequence[Sample], changes: dict[str, Any], now: float
    ) -> list[Event]:
        """Add to the windows; the event of those that are due, if they are."""
        since = _decode_window(row.window)
        _add_to_windows(db, row.id, fresh, since, now)
        began = row.window_at or now
        due = now - began >= self._settings.publish_seconds
        changes["window"], changes["window_at"] = ("{}", 0.0) if due else (_encode_window(since), began)
        return [announce.published(row.id, since, began, now)] if due else []


def _exhaustion(source: str, crossing: Crossing) -> HealthReport:
    """The report of a limit that was crossed."""
    value = crossing.change.value
    message = f"{crossing.value_name} of source {source} is {value:g}; the limit {crossing.limit} is {crossing.level:g}"
    details = {"source_id": source, "name": crossing.value_name, "value": value, "limit": crossing.level}
    return HealthReport(HealthSeverity.WARNING, HealthKind.RESOURCE_EXHAUSTION, PLUGIN.name, message, details)


def _numbered(row: sa.Row[Any], samples: Sequence[Sample]) -> tuple[Stored, list[tuple[int, int]]]:
    """Which of the samples are new, and the numbers that were passed over: the first and the last of each gap."""
    stored, gaps = Stored(row.seq), []
    started = row.samples > 0 or row.seq > 0
    for sample in samples:
        if started and sample.seq <= stored.seq:
            continue
        if started and sample.seq > stored.seq + 1:
            gaps.append((stored.seq + 1, sample.seq - 1))
        started = True
        stored.seq = sample.seq
        stored.fresh.append(sample)
    return stored, gaps


def publish_rest(db: sa.Connection, row: sa.Row[Any], now: float) -> None:
    """Announce what a source sent since its last event, as it goes away."""
    window = _decode_window(row.window)
    if not window:
        return
    put_event(db, PLUGIN.name, announce.published(row.id, window, row.window_at, now), now)
    mine = tables.sources.c.id == row.id
    db.execute(sa.update(tables.sources).where(mine).values(window="{}", window_at=0.0))


def _add_to_windows(
    db: sa.Connection, source: str, samples: Sequence[Sample], since: dict[str, Window], now: float
) -> None:
    buckets = {start_of(now if sample.t is None else sample.t) for sample in samples}
    stored = tables.windows
    columns = (stored.c.bucket, stored.c.name, *(stored.c[name] for name in _FIGURES))
    query = sa.select(*columns).where(stored.c.source == source, stored.c.bucket.in_(sorted(buckets)))
    there = {(bucket, name): Window(*figures) for bucket, name, *figures in db.execute(query)}
    touched: dict[tuple[int, str], Window] = {}
    for sample in samples:
        bucket = start_of(now if sample.t is None else sample.t)
        for name, value in sample.values.items():
            key = (bucket, name)
            window = touched.get(key)
            if window is None:
                window = touched[key] = there.get(key) or Window()
            window.add(value)
            since.setdefault(name, Window()).add(value)
    rows = [
        {
            "source": source,
            "name": name,
            "bucket": bucket,
            **{figure: getattr(window, figure) for figure in _FIGURES},
            "stored_at": int(now),
        }
        for (bucket, name), window in touched.items()
    ]
    upsert(db, stored, rows)


def _decode_window(text: str) -> dict[str, Window]:
    return msgspec.json.decode(text, type=ready(dict[str, Window]))


def _encode_window(window: Mapping[str, Window]) -> str:
    return msgspec.json.encode(window).decode()
