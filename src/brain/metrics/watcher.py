"""The task that watches limits and objectives, and reports what is crossed to the plug-ins for threats and health."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Engine, select

from brain.charter import HealthKind, HealthSeverity, Severity
from brain.errors import InvalidInput, Unavailable
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import HealthReport, HealthReports, ThreatReport, ThreatReports
from brain.logs import Log
from brain.metrics import tables
from brain.metrics.announce import job_failed
from brain.metrics.definition_store import Defined, read_defined
from brain.metrics.plugin import PLUGIN
from brain.metrics.schema import changing_tables, reading_tables
from brain.metrics.watch import SLO, Key, Watched, changes, mark_reported, read_watched, store
from brain.plugins import PluginContext

log: Log = Log("brain.metrics")

EVERY = 10.0
"""Seconds between two looks: the width of the finest buckets."""
DENIALS = ("denials", "denial_rate")
DENIALS_THREAT = "excessive_denials"
"""The type of the threat when a limit on denials by agent names none."""


class Watcher:
    """Looks regularly; without limits and objectives a look is one small question to the database.

    `dead` says how many events could not be counted, `changed` is called when there are events to ship.
    """

    def __init__(
        self,
        context: PluginContext,
        dead: Callable[[], int],
        changed: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._context = context
        self._database: Engine = context.database
        self._count_dead = dead
        self._changed = changed
        self._clock = clock
        self._defined = Defined()
        self._dead = 0
        self._threats: ThreatReports | None = None  # found when there is something to report
        self._health: HealthReports | None = None

    async def run(self) -> None:
        """Look every EVERY seconds, until cancelled; an outage of the database is waited for."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look_and_report()
            except OUTAGE as error:
                log.warning("limits not watched: the database does not answer", error=str(error))

    async def look_and_report(self) -> None:
        """One look; what is crossed and was not reported yet is, then."""
        await for_tasks(self._database, self._note_dead)
        if await for_tasks(self._database, self.look):
            self._changed()
        if self._defined.limits or self._defined.slos:
            for key, watched in (await for_tasks(self._database, self._unreported)).items():
                await self._report(key, watched)

    def look(self) -> int:
        """Store what changed, with its events; how much that was. Blocks."""
        with reading_tables(self._database) as connection:
            self._read(connection)
            if not self._defined.version or not changes(connection, self._defined, self._clock()):
                return 0
        with changing_tables(self._database) as connection:
            # Whoever defines or looks as well waits here: a change is found by one of them.
            connection.execute(select(tables.definitions.c.version).with_for_update()).all()
            self._read(connection)
            now = self._clock()
            found = changes(connection, self._defined, now)
            store(connection, found, now)
        return len(found)

    def _read(self, connection: Connection) -> None:
        version = connection.execute(select(tables.definitions.c.version)).scalar_one_or_none() or 0
        if version != self._defined.version:
            self._defined = read_defined(connection)

    def _note_dead(self) -> None:
        """Announce that events could not be counted, once for those of one look."""
        dead = self._count_dead()
        if dead == self._dead:
            return
        words = f"{dead - self._dead} events could not be counted; see `brain dead-letters list {PLUGIN.group}`"
        with changing_tables(self._database) as connection:
            job_failed(connection, "count", ("DeadLetter", words), self._clock())
        self._dead = dead
        self._changed()

    def _unreported(self) -> Mapping[Key, Watched]:
        with reading_tables(self._database) as connection:
            return {key: one for key, one in read_watched(connection).items() if not one.reported}

    async def _report(self, key: Key, watched: Watched) -> None:
        """Report one crossing; one that cannot be reported now is by the next look."""
        since = watched.state.since
        try:
            if key[0] == SLO:
                await self._report_health(key, watched)
            elif (threat := _threat_report(key, self._defined, watched)) is not None:
                await self._report_threat(threat)
        except InvalidInput as error:
            log.error("a crossing was not reported; its event has it", name=key[1], error=str(error))
        except Unavailable as error:
            log.warning("a crossing is reported later: the store does not answer", name=key[1], error=str(error))
            return
        await for_tasks(self._database, self._mark, key, since)

    async def _report_health(self, key: Key, watched: Watched) -> None:
        self._health = self._health or self._context.find(HealthReports)
        if self._health is not None:
            report = _health_report(key, self._defined, watched.details)
            await self._health.report(report, key=_reading(key, watched))

    async def _report_threat(self, report: ThreatReport) -> None:
        self._threats = self._threats or self._context.find(ThreatReports)
        if self._threats is not None:
            await self._threats.report(report)

    def _mark(self, key: Key, since: float | None) -> None:
        with changing_tables(self._database) as connection:
            mark_reported(connection, key, since)


def _reading(key: Key, watched: Watched) -> str:
    rate = watched.details.get("burn_limit", "")
    return f"metrics {' '.join(key)} {watched.state.since} {rate}"[:250]


def _health_report(key: Key, defined: Defined, details: Mapping[str, Any]) -> HealthReport:
    name = key[1]
    module = defined.slos[name].module if name in defined.slos else ""
    message = (
        f"objective {name} burns its error budget {details['burn_rate']:.3g} times too fast "
        f"({details['burn_rate_short']:.3g} of late); {details['budget_left']:.1%} are left"
    )
    return HealthReport(
        HealthSeverity.CRITICAL, HealthKind.PERFORMANCE_DEGRADATION, module or f"slo {name}", message, dict(details)
    )


def _threat_report(key: Key, defined: Defined, watched: Watched) -> ThreatReport | None:
    _, name, label = key
    limit = defined.limits.get(name)
    if limit is None:
        return None
    kind = limit.threat
    if kind is None and limit.metric in DENIALS and limit.by == "agent" and limit.above is not None:
        kind = DENIALS_THREAT
    if kind is None:
        return None
    details = watched.details
    description = (
        f"limit {name}: {limit.metric} is {details['value']:g} in {limit.window_seconds} s, "
        f"{details['direction']} {details['limit']:g}"
    )
    return ThreatReport(
        kind, label or limit.metric, Severity.HIGH, description, _reading(key, watched), {"limit": dict(details)}
    )
