"""Robots on a real stream, store and database, with drivers that the test can see into."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain import Condition, EventStream, PolicyEngine, Rule
from brain.charter import Effect, Event
from brain.hardware.host import HostSensors
from brain.hardware.mock import MockDriver
from brain.hardware.models import Movement
from brain.hardware.service import HardwareService
from brain.hardware.settings import HardwareSettings
from brain.hardware.tasks import HardwareTasks
from brain.kit.database import open_database
from brain.kit.outbox import ReportDelivery
from brain.plugins import PluginContext, plugins
from brain.policy.effects import acquire_engine, release_engine
from brain.settings import Settings
from brain.store import open_store
from support.waiting import until

FORWARD = Movement(linear_x=0.5)
DRIVERS = Rule(
    id="drivers",
    name="Drivers drive slowly",
    effect=Effect.ALLOW,
    conditions=[
        Condition("agent_id", "matches", "driver"),
        Condition("action", "in", ["hardware.move", "hardware.lease"]),
    ],
)
KEEPERS = Rule(
    id="keepers",
    name="Keepers clear stops",
    effect=Effect.ALLOW,
    conditions=[Condition("agent_id", "==", "ann"), Condition("action", "==", "hardware.clear_stop")],
)


@dataclass
class Fleet:
    """What a test works with."""

    context: PluginContext
    engine: PolicyEngine
    service: HardwareService
    tasks: HardwareTasks

    def mock(self, robot: str = "rover") -> MockDriver:
        """The robot's driver."""
        driver = self.service.robots[robot].driver
        assert isinstance(driver, MockDriver)
        return driver

    def moved(self, robot: str = "rover") -> list[str]:
        """The agents whose movements the robot took, in order."""
        return [one.command.agent for one in self.mock(robot).received if one.command is not None]

    def stops(self, robot: str = "rover") -> list[str]:
        """Why it was stopped, each time."""
        return [one.reason.value for one in self.mock(robot).received if one.reason is not None]

    async def drive(self, robot: str = "rover", agent: str = "driver-1", movement: Movement = FORWARD) -> int:
        """Take the lease and move once; the lease's token."""
        token = (await self.service.lease(robot, agent)).token
        result = await self.service.command(robot, agent, token, movement)
        assert result.state == "ACKED"
        return token

    async def events(self, pattern: str = "hardware.*") -> list[Event]:
        """The events of this pattern, once all are shipped."""

        async def shipped() -> bool:
            from support.incident_house import waiting

            return waiting(self.context.database) == 0

        await until(shipped)
        return [event async for event in self.context.stream.replay(pattern)]

    async def types(self) -> list[str]:
        """What happened, without the devices that are added at the start."""
        found = [event.type.removeprefix("hardware.") for event in await self.events()]
        return [name for name in found if name != "device_added"]


def robots(*names: str, **settings: Any) -> dict[str, Any]:
    """The setting `robots` with mocks of these names."""
    return {name: {"driver": "mock", **settings} for name in names}


@asynccontextmanager
async def fleet(
    folder: Path,
    *,
    database: str | None = None,
    clock: Callable[[], float] = time.time,
    run: bool = True,
    more: Mapping[str, Any] | None = None,
    **table: Any,
) -> AsyncIterator[Fleet]:
    """Everything at work inside the block, on the files in `folder`; `table` is [hardware], `more` other settings."""
    url = f"sqlite:///{folder}/brain.db"
    given = {"interval": 3600.0, "robots": robots("rover"), **table}
    engine = open_database(database or f"sqlite:///{folder}/consumers.db")
    async with EventStream.open(url) as stream:
        store = open_store(url)
        settings = Settings(stream=url, hardware=HardwareSettings(**given), **(more or {}))
        context = PluginContext(stream, store, engine, settings, plugins())
        policy = await asyncio.to_thread(acquire_engine, context)
        for rule in (DRIVERS, KEEPERS):
            if rule.id not in {one.id for one in policy.rules()}:
                await asyncio.to_thread(policy.add_rule, rule)
        try:
            async with HardwareTasks.open(context, HostSensors(settings.table(HardwareSettings).paths), clock) as tasks:
                loops = [*tasks.loops, ReportDelivery(context).run]
                running = [asyncio.create_task(loop()) for loop in loops] if run else []
                try:
                    yield Fleet(context, policy, tasks.service, tasks)
                finally:
                    for task in running:
                        task.cancel()
                    ends = await asyncio.gather(*running, return_exceptions=True)
        finally:  # also after a failed test: followers that are left would fail others
            await asyncio.to_thread(release_engine, context)
            store.close()
            engine.dispose()
    assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends
