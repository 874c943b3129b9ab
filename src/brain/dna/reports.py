"""What other plug-ins are to know: health events and threats, kept until they have taken them.

A row is written with the change that it is about, or where a change was refused, by itself. Each is taken once: the
other side knows it by its id.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, select

from brain.dna.changes import Change
from brain.dna.tables import reports
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import HealthReport, HealthReports, ThreatReport, ThreatReports
from brain.kit.sql import insert_missing
from brain.logs import Log
from brain.plugins import PluginContext

log: Log = Log("brain.dna")

_AT_ONCE = 100


def put_report(change: Change, id: str, report: HealthReport | ThreatReport) -> None:
    """Keep a report in the transaction of the change; the same id is reported once."""
    kind = "health" if isinstance(report, HealthReport) else "threat"
    row = {"id": id, "kind": kind, "report": msgspec.to_builtins(report), "created_at": change.now}
    insert_missing(change.db, reports, [row])


class Reporter:
    """Gives the kept reports to the plug-ins that take them; those that nobody takes are dropped, with a log line."""

    def __init__(self, context: PluginContext) -> None:
        self._database: Engine = context.database
        self._health = context.find(HealthReports)
        self._threats = context.find(ThreatReports)
        self.reported: int = 0

    async def report_all(self) -> None:
        """Report what is kept. Raises Unavailable, and what `OUTAGE` names, when it has to wait."""
        while rows := await for_tasks(self._database, self._oldest):
            for id, kind, report in rows:
                await self._report(id, kind, report)
                await for_tasks(self._database, self._delete, id)
                self.reported += 1

    async def _report(self, id: str, kind: str, report: Any) -> None:
        if kind == "health" and self._health is not None:
            await self._health.report(msgspec.convert(report, HealthReport), key=f"dna {id}")
        elif kind == "threat" and self._threats is not None:
            await self._threats.report(msgspec.convert(report, ThreatReport))
        else:
            log.warning("nobody takes a report", id=id, kind=kind)

    def _oldest(self) -> list[tuple[str, str, Any]]:
        columns = (reports.c.id, reports.c.kind, reports.c.report)
        with self._database.begin() as db:
            return [
                (row.id, row.kind, row.report)
                for row in db.execute(select(*columns).order_by(reports.c.created_at, reports.c.id).limit(_AT_ONCE))
            ]

    def _delete(self, id: str) -> None:
        with self._database.begin() as db:
            db.execute(delete(reports).where(reports.c.id == id))


def waiting_reports(db: Connection) -> int:
    """How many reports wait."""
    return len(db.execute(select(reports.c.id)).all())
