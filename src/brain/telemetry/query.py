"""What is stored, read for people: sources, their windows, usage, what came in by OTLP. Everything here blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from brain.errors import NotFound
from brain.kit.database import reading
from brain.kit.windows import STEP
from brain.telemetry import tables
from brain.telemetry.announce import cost_of
from brain.telemetry.crossings import crossed_in
from brain.telemetry.genai import MODEL

Document = dict[str, Any]
GROUPS = {
    "agent": ("agent",),
    "model": ("name", "provider"),
    "tool": ("name",),
    "all": ("agent", "kind", "name", "provider", "operation"),
}
"""How usage may be grouped, with the columns of each."""
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


class TelemetryQuery:
    """Reads the tables."""

    def __init__(self, database: sa.Engine) -> None:
        self._database = database

    def sources(self, limit: int) -> list[Document]:
        """The sources that were seen last."""
        query = sa.select(tables.sources).order_by(tables.sources.c.seen_at.desc(), tables.sources.c.id).limit(limit)
        return [_source(row) for row in self._rows(query)]

    def source(self, id: str) -> Document:
        """One source, with the last values that are stored. Raises NotFound."""
        rows = self._rows(sa.select(tables.sources).where(tables.sources.c.id == id))
        if not rows:
            raise NotFound(f"source {id!r}: has never sent anything here")
        windows = tables.windows
        last = sa.select(sa.func.max(windows.c.bucket)).where(windows.c.source == id).scalar_subquery()
        query = sa.select(windows).where(windows.c.source == id, windows.c.bucket == last).order_by(windows.c.name)
        return {**_source(rows[0]), "values": {row.name: row.last for row in self._rows(query.limit(1_000))}}

    def series(self, id: str, name: str | None, since: float, until: float, limit: int) -> list[Document]:
        """The windows of a source in this time, in their order."""
        windows = tables.windows.c
        columns = (
            windows.name,
            windows.bucket,
            windows.least,
            windows.most,
            windows.sum,
            windows["count"],
            windows.last,
        )
        query = sa.select(*columns).where(windows.source == id, windows.bucket > since - STEP, windows.bucket <= until)
        if name is not None:
            query = query.where(windows.name == name)
        rows = self._rows(query.order_by(windows.bucket, windows.name).limit(limit))
        return [
            {
                "name": value,
                "at": at,
                "min": least,
                "max": most,
                "mean": total / count,
                "count": count,
                "last": last,
            }
            for value, at, least, most, total, count, last in rows
        ]

    def usage(self, by: str, since: float, until: float, limit: int) -> list[Document]:
        """What was used in the windows that begin in this time: most tokens first."""
        usage, names = tables.usage, GROUPS[by]
        columns = [usage.c[name] for name in names]
        sums = [sa.cast(sa.func.sum(usage.c[name]), sa.BigInteger).label(name) for name in _SUMS]
        query = sa.select(*columns, *sums, *([] if "kind" in names else [sa.func.max(usage.c.kind).label("most_kind")]))
        query = query.where(usage.c.bucket >= since, usage.c.bucket <= until)
        if by in ("model", "tool"):
            query = query.where(usage.c.kind == by)
        tokens = sa.func.sum(usage.c.input_tokens + usage.c.output_tokens)
        query = query.group_by(*columns).order_by(tokens.desc(), *columns).limit(limit)
        return [_usage(row, names, by) for row in self._rows(query)]

    def received(self) -> list[Document]:
        """What came in by OTLP, by service and signal."""
        query = sa.select(tables.received).order_by(tables.received.c.last_at.desc()).limit(500)
        found: defaultdict[str, Document] = defaultdict(dict)
        for row in self._rows(query):
            found[row.service][row.signal] = row.items
            found[row.service]["refused"] = found[row.service].get("refused", 0) + row.refused
            found[row.service]["last_at"] = max(found[row.service].get("last_at", 0.0), row.last_at)
        return [{"service": name, "traces": 0, "metrics": 0, "logs": 0, **counts} for name, counts in found.items()]

    def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        tables.make_tables(self._database)
        with reading(self._database).begin() as db:
            return db.execute(query).all()


def _source(row: sa.Row[Any]) -> Document:
    return {
        "id": row.id,
        "state": row.state,
        "connected": bool(row.connection),
        "run": row.run,
        "seq": row.seq,
        "samples": row.samples,
        "lost": row.lost,
        "repeated": row.repeated,
        "seen_at": row.seen_at,
        "measured_at": row.measured_at,
        "connected_at": row.connected_at,
        "expected_interval": row.expected,
        "crossed": crossed_in(row.crossed),
    }


def _usage(row: sa.Row[Any], names: Sequence[str], by: str) -> Document:
    found: Document = {name: getattr(row, name) for name in names}
    is_tool = by == "tool" or getattr(row, "kind", MODEL) != MODEL
    # A tool has no price of its own; its calls are in no count of unpriced ones.
    return {
        **found,
        "calls": row.calls,
        "errors": row.errors,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cached_tokens": row.cached_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "seconds": row.nanoseconds / 1e9,
        "cost": None if is_tool else cost_of([row]),
        "unpriced_calls": row.unpriced,
    }
