"""The projector: events of the stream into series, and what is unusual about them into reports, in one transaction."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import sqlalchemy as sa

from brain import limits
from brain.charter import HealthKind
from brain.immune.measures import Measure, SeriesKey, measures_of
from brain.immune.series import KEPT, STEP, Finding, Series, settings_of
from brain.immune.tables import samples, series
from brain.kit.baseline import Baseline
from brain.kit.outbox import put_health
from brain.kit.projection import Item
from brain.kit.protocols import HealthReport
from brain.kit.sql import upsert

CONSUMER = "immune"
MOST_SERIES = 2_000
"""Series kept; the one unused for longest is forgotten."""
CACHED = 200
"""Baselines kept in memory, so that they need not be learned again from the database."""


class DerivedHealth:
    """Derives health events. What it keeps in memory is a copy of what the database has."""

    def __init__(self) -> None:
        self._baselines: OrderedDict[SeriesKey, tuple[int, int, Baseline]] = OrderedDict()

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """Apply a batch, in the transaction of `db`."""
        known: dict[SeriesKey, Series] = {}
        for item in items:
            if item.event is None:
                continue
            for measure in measures_of(item.event):
                one = known.get(measure.key)
                if one is None:
                    one = known[measure.key] = self._read(db, measure)
                if (found := one.take(measure)) is not None:
                    report = HealthReport(
                        found.severity, found.key.kind, found.key.about, found.message, found.details,
                        _correlation_id(item.event.correlation_id),
                    )  # fmt: skip
                    put_health(db, CONSUMER, report, found.at, key=_key(found, item.event.id))
        self._write(db, known)

    def _read(self, db: sa.Connection, measure: Measure) -> Series:
        key = measure.key
        row = db.execute(sa.select(series).where(*_is(series, key))).one_or_none()
        if row is None:
            _make_room(db)
            return Series.begun(measure)
        found = Series(key, row.began, row.step, row._mapping["count"], list(row.values_), row.unusual_at, row.severity)
        cached = self._baselines.pop(key, None)
        if cached is not None and cached[:2] == (row.began, row.step):
            found.baseline = cached[2]
        else:
            found.baseline = _learned(db, found)
        return found

    def _write(self, db: sa.Connection, known: dict[SeriesKey, Series]) -> None:
        rows, closed = [], []
        for key, one in known.items():
            of_key = {"kind": key.kind.value, "module": key.module, "agent": key.agent}
            state = {"began": one.began, "step": one.step, "count": one.count, "values_": one.values}
            rows.append({**of_key, **state, "unusual_at": one.unusual_at, "severity": one.severity})
            closed += [{**of_key, "step": step, "value": value} for step, value in one.closed.items()]
            if one.closed:
                old = samples.c.step < one.step - KEPT * STEP
                db.execute(sa.delete(samples).where(*_is(samples, key), old))
            self._baselines[key] = (one.began, one.step, one.baseline)
        while len(self._baselines) > CACHED:
            self._baselines.popitem(last=False)
        upsert(db, series, rows)
        upsert(db, samples, closed)


def _learned(db: sa.Connection, one: Series) -> Baseline:
    """The baseline from the closed steps; where events are counted, a step without a row is 0."""
    first = max(one.began, one.step - KEPT * STEP)
    query = sa.select(samples.c.step, samples.c.value).where(*_is(samples, one.key), samples.c.step >= first)
    found: dict[int, float] = {row.step: row.value for row in db.execute(query.order_by(samples.c.step))}
    if one.is_counted:
        found = {step: found.get(step, 0.0) for step in range(first, one.step, STEP)}
    return Baseline.restored(found.items(), settings=settings_of(one.key))


def _make_room(db: sa.Connection) -> None:
    """Forget the series that is unused for longest, when there are as many as are kept."""
    if db.execute(sa.select(sa.func.count()).select_from(series)).scalar_one() < MOST_SERIES:
        return
    oldest = db.execute(sa.select(series).order_by(series.c.step, series.c.module, series.c.agent).limit(1)).one()
    key = SeriesKey(HealthKind(oldest.kind), oldest.module, oldest.agent)
    for table in (samples, series):
        db.execute(sa.delete(table).where(*_is(table, key)))


def _is(table: sa.Table, key: SeriesKey) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.kind == key.kind.value, table.c.module == key.module, table.c.agent == key.agent


def _key(found: Finding, event_id: str) -> str:
    return f"immune {found.key.kind} {found.key.about} {found.severity} {event_id}"


def _correlation_id(correlation_id: str | None) -> str | None:
    return correlation_id[: limits.TEXT] if correlation_id else None
