"""The plug-ins of a server: opened, their routes mounted, their tasks run, their checks and metrics gathered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from brain.errors import Unavailable
from brain.kit.context import check_owners, open_plugin, plugin_context
from brain.kit.database_threads import for_reading
from brain.kit.outbox import ReportDelivery
from brain.logs import Log
from brain.plugins import Component, Plugin, Quick, check_plugins, plugins
from brain.server.api import Api
from brain.server.progress import Progress
from brain.settings import CoreSettings, check_tables
from brain.store import Store
from brain.store.deletion_clock import deletion_clock
from brain.stream import EventStream
from brain.stream.event_index import keep_index
from brain.stream.retention import keep
from brain.stream.tasks import RestartingTask

log: Log = Log("brain.server")

METRICS_SECONDS = 5.0
"""How long a scrape waits for one plug-in."""
Task = Callable[[], Coroutine[Any, Any, None]]
_TROUBLES = 5  # of all tasks, named one by one


class Components:
    """The installed plug-ins of one server, and its own `tasks` by name. An application is opened once."""

    def __init__(self, stream: EventStream, store: Store, settings: CoreSettings, tasks: Mapping[str, Task]) -> None:
        self._stream = stream
        self._store = store
        self._settings = settings
        self._tasks = [RestartingTask(name, task) for name, task in tasks.items()]
        self._progress = Progress(stream, self._groups)
        self._running_consumers: asyncio.Task[None] | None = None
        self._opened: list[Component] = []
        self._database: Engine | None = None
        self._missing = 0  # parts of scrapes
        self._quick: dict[str, Quick] = {}
        self._open_pages: dict[str, ASGIApp] = {}
        self._reports: ReportDelivery | None = None

    def runs_here(self, plugin: Plugin) -> bool:
        """Whether this server runs the plug-in's tasks; those that the settings leave out are for `brain worker`."""
        return not plugin.runs or plugin.name in self._settings.consumers

    def checks(self) -> Mapping[str, Callable[[], str]]:
        """The parts in `/readyz`: each a quick call that answers "ok" or a fault."""
        found: dict[str, Callable[[], str]] = {"consumers": self._consumers}
        for component in self._opened:
            found |= component.checks
        return found

    def quick(self, path: str) -> Quick | None:
        """The quick answer of a plug-in to POSTs at the path of a request."""
        return self._quick.get(path)

    def end_waits(self) -> None:
        """Have requests that wait for news be answered now: the server begins to stop."""
        for component in self._opened:
            if component.end_waits is not None:
                component.end_waits()

    async def open_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a plug-in shows to people who have no key. Raises HTTPException, 404, where it shows nothing."""
        page = self._open_pages.get(scope["path_params"]["plugin"])
        if page is None:
            raise HTTPException(404)
        await page(scope, receive, send)

    async def metrics(self) -> list[Metric]:
        """The plug-ins' metrics, and the clock that they delete by.

        Those that fail, or are not there within `METRICS_SECONDS`, are left out, counted and logged.
        """
        asked = [self._metrics_of(one.metrics) for one in self._opened if one.metrics is not None]
        if self._reports is not None:
            asked.append(self._metrics_of(self._reports.metrics))
        found = [metric for part in await asyncio.gather(*asked) for metric in part]
        missing = "Parts of a scrape that were left out: the database did not answer in time, or a plug-in failed"
        step = "How far this machine's clock is off what can be explained; 0 while it is not"
        return [
            *found,
            CounterMetricFamily("brain_scrape_parts_missing", missing, self._missing),
            GaugeMetricFamily("brain_clock_step", step, deletion_clock(self._store).step, unit="seconds"),
        ]

    async def _metrics_of(self, read: Callable[[], Sequence[Metric]]) -> Sequence[Metric]:
        assert self._database is not None
        try:
            async with asyncio.timeout(METRICS_SECONDS):
                return await for_reading(self._database, lambda: _all_metrics(read()))
        except (Unavailable, TimeoutError) as error:
            self._missing += 1
            log.warning("a scrape lacks a part", error=str(error) or f"no answer within {METRICS_SECONDS:g} s")
            return []
        except Exception as error:  # noqa: BLE001  (whatever a plug-in raises is its own fault; the others are scraped)
            self._missing += 1
            log.error("a scrape lacks a part; its plug-in must be mended", raised=error)
            return []

    @asynccontextmanager
    async def opened(self, api: Api) -> AsyncIterator[None]:
        """Inside the block the plug-ins are open, their routes are mounted below /api, and their tasks run.

        Raises InvalidInput when an installed plug-in is broken, OwnedElsewhere when another database keeps its group,
        and what a plug-in's opening raises.
        """
        async with AsyncExitStack() as opened:
            check_tables(plugins().values())
            check_plugins()
            context = opened.enter_context(plugin_context(self._stream, self._store, self._settings))
            self._database = context.database
            self._reports = ReportDelivery(context)
            self._tasks.append(RestartingTask("reports", self._reports.run))
            await check_owners(context, filter(self.runs_here, plugins().values()))
            for plugin in plugins().values():
                component = await opened.enter_async_context(open_plugin(plugin, context))
                self._add(plugin, component)
                if component.router is not None:
                    api.add(component.router)
            async with self._running():
                yield

    def _add(self, plugin: Plugin, component: Component) -> None:
        self._opened.append(component)
        self._quick |= {f"/api{path}": quick for path, quick in component.quick.items()}
        if component.open_page is not None:
            self._open_pages[plugin.name] = component.open_page
        if self.runs_here(plugin):
            self._tasks += [RestartingTask(f"consumer {plugin.name}", task) for task in component.tasks]

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        self._tasks.append(RestartingTask("retention", self._trim))
        self._tasks.append(RestartingTask("index", lambda: keep_index(self._stream)))
        self._tasks.append(RestartingTask("progress", self._progress.watch))
        self._running_consumers = asyncio.create_task(self._stream.run_consumers())
        tasks = [self._running_consumers]
        tasks += [asyncio.create_task(task.run()) for task in self._tasks]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _trim(self) -> None:
        await keep(self._stream, self._settings.retention, clock=deletion_clock(self._store))

    def _groups(self) -> Collection[str]:
        """The groups that this server runs."""
        handlers = {consumer.group.name for consumer in self._stream.consumers}
        return handlers | {plugin.group for plugin in plugins().values() if plugin.runs and self.runs_here(plugin)}

    def _consumers(self) -> str:
        """The faults of the tasks, the first few named; "ok" when there are none."""
        troubles = [*self._stream.troubles(), *filter(None, (task.trouble() for task in self._tasks))]
        troubles += self._progress.troubles()
        if self._running_consumers is not None and self._running_consumers.done():
            troubles.insert(0, "the task of all handlers has ended; see the log, and start the server again")
        more = [f"and {len(troubles) - _TROUBLES} more"] if len(troubles) > _TROUBLES else []
        return "; ".join([*troubles[:_TROUBLES], *more]) or "ok"


def _all_metrics(found: Sequence[Metric]) -> list[Metric]:
    """Raises TypeError for what is no metric: it would fail where all are written."""
    for one in found:
        if not isinstance(one, Metric):
            raise TypeError(f"metrics give {one!r}; give a Metric of prometheus_client.core")
    return list(found)
