"""The tasks of the plug-in: the projection, the runner, the shipping of events, what is forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from brain.charter import Event
from brain.kit.database import OUTAGE, reading
from brain.kit.database_threads import for_tasks
from brain.kit.healing import healed_by_playbooks
from brain.kit.outbox import EventShipping, shipping_metrics
from brain.kit.projection import Projection
from brain.logs import Log
from brain.playbooks.loading import configured
from brain.playbooks.models import CONSUMER, Callback, Playbook
from brain.playbooks.plugin import PLUGIN
from brain.playbooks.records import RunRecords, counts
from brain.playbooks.runner import Runner
from brain.playbooks.settings import PlaybookSettings
from brain.playbooks.starting import PlaybookProjector
from brain.plugins import PluginContext
from brain.stream.change_signal import ChangeSignal

log: Log = Log("brain.playbooks")

FORGET = 600.0
"""Seconds between two looks for runs to forget."""
DAY = 86_400.0
_NO_CALLBACKS: Mapping[str, Callback] = {}


class PlaybookTasks:
    """Everything that runs for playbooks in one process. `clock` gives Unix seconds."""

    def __init__(
        self,
        context: PluginContext,
        playbooks: Sequence[Playbook],
        records: RunRecords,
        callbacks: Mapping[str, Callback] = _NO_CALLBACKS,
    ) -> None:
        self.records: RunRecords = records
        self.playbooks: Sequence[Playbook] = playbooks
        self._context = context
        self._settings = context.table(PlaybookSettings)
        self._news = ChangeSignal()
        self._shipping = EventShipping(context.database, CONSUMER, context.stream)
        self._runner = Runner(context, records, callbacks, self._news)
        wanted = _patterns(playbooks) if self._settings.loop else ()
        self._projector = PlaybookProjector(playbooks, self._settings, records.clock)
        self._projection = (
            Projection(context, PLUGIN.group, self._projector.apply, pattern=wanted, committed=self._news.notify)
            if wanted
            else None
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        context: PluginContext,
        clock: Callable[[], float] = time.time,
        *,
        lease_seconds: float = 10.0,
    ) -> AsyncIterator[PlaybookTasks]:
        """The tasks on these parts, with the playbooks of the settings. Raises InvalidInput for bad ones."""
        settings = context.table(PlaybookSettings)
        playbooks = await asyncio.to_thread(configured, settings)
        records = RunRecords(context.database, clock, lease_seconds)
        await for_tasks(context.database, records.prepare)
        tasks = cls(context, playbooks, records)
        with healed_by_playbooks(_health_kinds(playbooks) if settings.loop else ()):
            try:
                yield tasks
            finally:
                await tasks.close()

    async def close(self) -> None:
        """Let go of what was opened."""
        await self._runner.close()

    def begin(self, playbook: Playbook, event: Event) -> str | None:
        """Start a run now, as if the event had come; its id, or None when a limit stops it. Blocks."""
        with self._context.database.begin() as db:
            return self._projector.start(db, playbook, event)

    async def work(self) -> None:
        """Work at the runs alone, until cancelled."""
        await self._runner.run()

    def wake(self) -> None:
        """Look at once: something was answered."""
        self._news.notify()

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks, each of which runs until it is cancelled."""
        projecting = () if self._projection is None else (self._projection.run,)
        return (*projecting, self._runner.run, self._shipping.run, self._forget_forever)

    def check(self) -> str:
        """For `/readyz`."""
        dead = 0 if self._projection is None else self._projection.dead
        return "ok" if not dead else f"{dead} events could not be applied; see brain dead-letters list"

    def metrics(self) -> Sequence[Metric]:
        """What `/metrics` has of playbooks. Blocks."""
        found = GaugeMetricFamily("brain_playbooks_runs", "Runs of playbooks that are kept, by state", labels=["state"])
        try:
            with reading(self._context.database).begin() as db:
                for state, count in counts(db).items():
                    found.add_metric([state], count)
        except OUTAGE as error:
            log.warning("a scrape has no figures of playbooks: the database does not answer", error=str(error))
            return []
        return [found, *shipping_metrics(self._shipping)]

    async def _forget_forever(self) -> None:
        while True:
            await asyncio.sleep(FORGET)
            try:
                before = self.records.clock() - self._settings.keep_days * DAY
                await for_tasks(self._context.database, self.records.prune, before)
            except OUTAGE as error:
                log.warning("old runs are not deleted: the database does not answer", error=str(error))


def _patterns(playbooks: Sequence[Playbook]) -> tuple[str, ...]:
    """The events that they wait for."""
    found = {type: None for one in playbooks for type in one.trigger}
    return tuple(found | {one.verify.event: None for one in playbooks if one.verify is not None})


def _health_kinds(playbooks: Sequence[Playbook]) -> set[str]:
    """The kinds of critical health events that playbooks deal with, so that pages wait for them."""
    found: set[str] = set()
    for one in playbooks:
        if "immune.critical_event" in one.trigger:
            kind = one.where.get("payload.kind")
            found.update([kind] if isinstance(kind, str) else kind if isinstance(kind, list) else ())
    return found
