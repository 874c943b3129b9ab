"""Gives hits to the plug-in that keeps threats: a new one at once, a growing one now and then."""

from __future__ import annotations

from brain.charter import correlation
from brain.detections.models import SEVERITIES
from brain.detections.repository import WaitingHit, mark_reported, waiting_hits
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import ThreatReport, ThreatReports
from brain.logs import Log
from brain.plugins import PluginContext

log: Log = Log("brain.detections")


class Reporter:
    """Reports hits; one that is reported twice, since a process died in between, counts once."""

    def __init__(self, context: PluginContext) -> None:
        self.reported: int = 0
        self._database = context.database
        self._threats: ThreatReports | None = context.find(ThreatReports)

    async def report_all(self, *, grown: bool) -> None:
        """Report the new hits, and with `grown` those that have grown. Raises Unavailable and what `OUTAGE` names."""
        for new in (True, False) if grown else (True,):
            while rows := await for_tasks(self._database, self._waiting, new):
                for hit in rows:
                    threat = await self._report(hit)
                    await for_tasks(self._database, self._mark, hit, threat)
                    self.reported += 1

    def _waiting(self, new: bool) -> list[WaitingHit]:
        with self._database.begin() as db:
            return waiting_hits(db, new=new)

    def _mark(self, hit: WaitingHit, threat: str | None) -> None:
        with self._database.begin() as db:
            mark_reported(db, hit, threat)

    async def _report(self, hit: WaitingHit) -> str | None:
        if self._threats is None:
            log.warning("nobody takes a hit: no installed plug-in provides ThreatReports", hit=hit.id)
            return None
        with correlation(hit.body["correlation_id"] or hit.id):
            return await self._threats.report(report_of(hit))


def report_of(hit: WaitingHit) -> ThreatReport:
    """The hit as a threat takes it."""
    times = "once" if hit.count == 1 else f"{hit.count} times"
    about = hit.body["description"].partition("\n\n")[0]
    return ThreatReport(
        type=hit.name[:100],
        source=hit.source,
        severity=SEVERITIES[hit.level],
        description=f"{hit.title}: {times}. {' '.join(about.split())}".strip(),
        reading=hit.id,
        count=hit.count,
        last_seen=hit.last_at,
        metadata={
            "detection": hit.title, "tags": hit.body["tags"], "group": hit.body["group"], "events": hit.body["events"],
            "first_seen": hit.opened_at, **({"values": hit.body["values"]} if hit.body["values"] else {}),
        },
    )  # fmt: skip
