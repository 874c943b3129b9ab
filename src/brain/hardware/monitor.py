"""The task that reads this host and the robots now and then, and looks for leases that ran out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from brain.errors import BrainError
from brain.hardware import devices
from brain.hardware.control import RobotControl
from brain.hardware.host import HostSensors
from brain.hardware.readings import HostReading, metrics_of, metrics_of_robot
from brain.hardware.service import HardwareService
from brain.hardware.settings import HardwareSettings
from brain.hardware.tables import make_tables
from brain.kit.database import OUTAGE, reachable
from brain.kit.database_threads import for_tasks
from brain.logs import Log
from brain.stream.threads import run_alone

log: Log = Log("brain.hardware")

_PRUNE_EVERY = 3600.0


class Monitor:
    """Reads the host each `interval` seconds; `clock` gives Unix seconds. `values` has the last metrics by device."""

    def __init__(
        self,
        service: HardwareService,
        settings: HardwareSettings,
        sensors: HostSensors,
        clock: Callable[[], float],
    ) -> None:
        self.values: dict[str, Mapping[str, float]] = {}
        self.failures: int = 0
        """Readings that could not be made or kept."""
        self._service = service
        self._database = service.parts.database
        self._settings = settings
        self._sensors = sensors
        self._clock = clock
        self._pruned_at = clock()

    @property
    def host(self) -> str:
        """This host among the devices."""
        return f"{devices.HOST}:{self._sensors.host}"

    async def run(self) -> None:
        """Read until cancelled."""
        started = False
        while True:
            try:
                if not started:
                    await for_tasks(self._database, self._register)
                    await self._service.end_contained()
                    await self._service.stop_left_moving()
                    started = True
                await self.look()
            except (*OUTAGE, BrainError) as error:
                self.failures += 1
                log.warning("a reading of the hardware was not kept; the next one is tried", error=str(error))
            await asyncio.sleep(self._settings.interval)

    async def look(self) -> None:
        """Read everything once. Raises Unavailable."""
        reading: HostReading = await run_alone(self._sensors.read)
        await self._keep(self.host, msgspec.to_builtins(reading), metrics_of(reading))
        await asyncio.gather(*(self._ask(control) for control in self._service.robots.values()))
        if self._service.robots:
            await self._service.end_leases(await for_tasks(self._database, self._service.records.lapse))
        now = self._clock()
        if abs(now - self._pruned_at) >= _PRUNE_EVERY:
            self._pruned_at = now
            await for_tasks(self._database, self._service.records.prune, now - self._settings.keep_days * 86_400)

    async def _ask(self, control: RobotControl) -> None:
        """Keep what a robot says of itself; one that does not answer keeps its last words."""
        try:
            state = await self._service.state(control.robot)
        except Exception as error:  # noqa: BLE001  (whatever a driver raises must not end the readings of the others)
            self.failures += 1
            log.warning("a robot does not say how it is", robot=control.robot, error=f"{type(error).__name__}: {error}")
            return
        if state:
            await self._keep(f"{devices.ROBOT}:{control.robot}", state, metrics_of_robot(state))

    async def _keep(self, device: str, document: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        at = self._clock()  # when it was read, however long the database takes
        self.values[device] = metrics

        def keep(db: sa.Connection) -> None:
            devices.take_reading(db, device, document, metrics, self._settings, at)

        await for_tasks(self._database, self._change, keep)

    def _register(self) -> None:
        """Know this host and the robots of the settings, and no robots that were taken out of them."""
        now = self._clock()

        def change(db: sa.Connection) -> None:
            devices.register(db, self.host, devices.HOST, "psutil", "", now)
            robots = {f"{devices.ROBOT}:{name}": control.settings for name, control in self._service.robots.items()}
            for device, settings in robots.items():
                devices.register(db, device, devices.ROBOT, settings.driver, settings.model, now)
            for gone in sorted(devices.robots_known(db) - robots.keys()):
                devices.forget(db, gone, now)

        self._change(change)

    def _change(self, change: Callable[[sa.Connection], None]) -> None:
        make_tables(self._database)
        with reachable(self._database), self._database.begin() as db:
            change(db)
