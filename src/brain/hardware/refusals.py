"""Refused commands: each is counted; of many alike within a few seconds one is recorded, with how many it is for."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import sqlalchemy as sa

from brain.hardware.models import Refusal, RefusalCode, RobotCommand
from brain.hardware.records import RobotRecords
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.logs import Log

log: Log = Log("brain.hardware")

QUIET = 10.0
"""Seconds after the event of a refusal in which further ones of its robot, agent and code are counted only."""
_MOST = 1_000

Kind = tuple[str, str, RefusalCode]


class RefusalLog:
    """Records refusals. `monotonic` gives seconds by a clock that nobody sets."""

    def __init__(
        self, database: sa.Engine, records: RobotRecords, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Since the start, by code."""
        self._database = database
        self._records = records
        self._monotonic = monotonic
        self._announced: dict[Kind, float] = {}
        self._quiet: Counter[Kind] = Counter()

    async def note(self, command: RobotCommand, refusal: Refusal) -> None:
        """Count it; record and announce it unless it was just so. A database that is away must not delay the answer."""
        self.counts[refusal.code.value] += 1
        count = self._stands_for((command.robot, command.agent, refusal.code))
        if not count or refusal.code is RefusalCode.UNAVAILABLE:
            return
        try:
            async with asyncio.timeout(1.0):
                await for_tasks(self._database, self._records.refuse, command, refusal.code, str(refusal), count)
        except (*OUTAGE, TimeoutError) as error:
            self.counts["unrecorded"] += 1
            log.warning("a refused command is not recorded", robot=command.robot, code=refusal.code, error=str(error))

    def _stands_for(self, kind: Kind) -> int:
        """How many an event of this refusal would stand for; 0 when it is only counted."""
        now = self._monotonic()
        if now - self._announced.get(kind, -QUIET) < QUIET:
            self._quiet[kind] += 1
            return 0
        if len(self._announced) >= _MOST:
            self._announced = {one: at for one, at in self._announced.items() if now - at < QUIET}
        self._announced[kind] = now
        return 1 + self._quiet.pop(kind, 0)
