"""The plug-ins of a server: opened, their routes mounted, their tasks run, their checks and metrics gathered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from prometheus_client.core import GaugeMetricFamily, Metric

from brain.kit.context import open_plugin, plugin_context
from brain.plugins import Component, Plugin, check_plugins, plugins
from brain.server.progress import Progress
from brain.settings import Settings
from brain.store import Store
from brain.store.deletion_clock import deletion_clock
from brain.stream import EventStream
from brain.stream.retention import keep
from brain.stream.tasks import RestartingTask

_TROUBLES = 5  # of all tasks, named one by one


class Components:
    """The installed plug-ins of one server. An application is opened once."""

    def __init__(self, stream: EventStream, store: Store, settings: Settings) -> None:
        self._stream = stream
        self._store = store
        self._settings = settings
        self._tasks: list[RestartingTask] = []
        self._progress = Progress(stream, self._groups)
        self._running_consumers: asyncio.Task[None] | None = None
        self._opened: list[Component] = []

    def runs_here(self, plugin: Plugin) -> bool:
        """Whether this server runs the plug-in's tasks; those that the settings leave out are for `brain worker`."""
        return not plugin.runs or plugin.name in self._settings.consumers

    def checks(self) -> Mapping[str, Callable[[], str]]:
        """The parts in `/readyz`: each a quick call that answers "ok" or a fault."""
        found: dict[str, Callable[[], str]] = {"consumers": self._consumers}
        for component in self._opened:
            found |= component.checks
        return found

    def metrics(self) -> Iterator[Metric]:
        """The plug-ins' metrics, and the clock that they delete by; in a blocking call."""
        yield GaugeMetricFamily(
            "brain_clock_step",
            "How far this machine's clock is off what can be explained; 0 while it is not",
            deletion_clock(self._store).step,
            unit="seconds",
        )
        for component in self._opened:
            if component.metrics is not None:
                yield from component.metrics()

    @asynccontextmanager
    async def opened(self, app: FastAPI) -> AsyncIterator[None]:
        """Inside the block the plug-ins are open, their routes are mounted below /api, and their tasks run.

        Raises InvalidInput when an installed plug-in is broken, and what a plug-in's opening raises.
        """
        async with AsyncExitStack() as opened:
            check_plugins()
            context = opened.enter_context(plugin_context(self._stream, self._store, self._settings))
            for plugin in plugins().values():
                component = await opened.enter_async_context(open_plugin(plugin, context))
                self._add(plugin, component)
                if component.router is not None:
                    app.include_router(component.router, prefix="/api")
            app.openapi_schema = None  # it lists the routes
            async with self._running():
                yield

    def _add(self, plugin: Plugin, component: Component) -> None:
        self._opened.append(component)
        if self.runs_here(plugin):
            self._tasks += [RestartingTask(f"consumer {plugin.name}", task) for task in component.tasks]

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        self._tasks.append(RestartingTask("retention", self._trim))
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
