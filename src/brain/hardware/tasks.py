"""The tasks of the plug-in: the readings, the projection of measures, the events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.core import Metric

from brain.hardware.host import HostSensors
from brain.hardware.interlocks import InterlockWatch
from brain.hardware.models import CONSUMER, GROUP
from brain.hardware.monitor import Monitor
from brain.hardware.plugin import PLUGIN
from brain.hardware.projector import MeasureProjector, ToHalt
from brain.hardware.prometheus import hardware_metrics
from brain.hardware.service import HardwareService
from brain.hardware.settings import HardwareSettings
from brain.hardware.tables import make_tables
from brain.kit.database_threads import tables_made
from brain.kit.outbox import EventShipping, shipping_metrics
from brain.kit.projection import Projection
from brain.plugins import PluginContext


class HardwareTasks:
    """What runs for hardware in one process, over its service."""

    def __init__(
        self,
        context: PluginContext,
        service: HardwareService,
        sensors: HostSensors,
        events: EventShipping,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings = context.table(HardwareSettings)
        self.service: HardwareService = service
        self._context = context
        self._events = events
        self._to_halt = ToHalt((), ())
        self._loop: asyncio.AbstractEventLoop | None = None
        self.monitor: Monitor = Monitor(service, settings, sensors, clock)
        self._interlocks = InterlockWatch(service)
        projector = MeasureProjector(clock, self._note)
        self._projection = Projection(
            context, GROUP, projector.apply, pattern=PLUGIN.listens, committed=self._committed
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, context: PluginContext, sensors: HostSensors, clock: Callable[[], float] = time.time
    ) -> AsyncIterator[HardwareTasks]:
        """The tasks over a service of their own; at the end moving robots are stopped. Raises InvalidInput."""
        events = EventShipping(context.database, CONSUMER, context.stream)
        async with HardwareService.open(context, clock) as service:
            yield cls(context, service, sensors, events, clock)

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks, each of which runs until it is cancelled."""
        return (self._monitor_forever, self._follow, self._events.run, self._interlocks.run)

    def metrics(self) -> Sequence[Metric]:
        """What `/metrics` has of hardware. Blocks."""
        return [*hardware_metrics(self.service, self.monitor), *shipping_metrics(self._events)]

    def check(self) -> str:
        """For `/readyz`."""
        dead = self._projection.dead
        return "ok" if not dead else f"{dead} events could not be applied; see brain dead-letters list"

    async def _follow(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._make_tables()
        await self._projection.run()

    async def _monitor_forever(self) -> None:
        await self._make_tables()
        await self.monitor.run()

    async def _make_tables(self) -> None:
        await tables_made(self._context.database, make_tables, "hardware")

    def _note(self, found: ToHalt) -> None:
        self._to_halt = ToHalt({*self._to_halt.ended, *found.ended}, {*self._to_halt.stopped, *found.stopped})

    def _committed(self) -> None:
        """Called in the projection's thread after its commit."""
        found, self._to_halt = self._to_halt, ToHalt((), ())
        if self._loop is not None and any(found):
            self._loop.call_soon_threadsafe(self._halt, found)

    def _halt(self, found: ToHalt) -> None:
        if found.ended:
            self.service.parts.spawn(self.service.end_leases(sorted(found.ended)))
        if found.stopped:
            self.service.parts.spawn(self.service.stop_recorded(sorted(found.stopped)))
