"""Robots as agents and people drive them: leases, commands, emergency stops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.errors import NotFound, Unavailable
from brain.hardware.control import ControlParts, RobotControl
from brain.hardware.drivers import make_driver
from brain.hardware.models import (
    CLEAR,
    LEASE,
    CommandResult,
    Movement,
    RobotCommand,
    StopReason,
)
from brain.hardware.records import RobotRecords, Stop, content_of
from brain.hardware.refusals import RefusalLog
from brain.hardware.settings import HardwareSettings, RobotSettings
from brain.kit.database_threads import for_reading, for_tasks, for_writing
from brain.kit.idempotency import token_for
from brain.kit.leases import Lease
from brain.kit.protocols import EffectGuard, MotionInterlock, required_guard
from brain.logs import Log
from brain.plugins import PluginContext

log: Log = Log("brain.hardware")

ALL = "all"
RECORD_SECONDS = 2.0
"""How long the answer to a stop waits for its record; the record goes on."""
CLOSE_SECONDS = 5.0


class RobotLease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to drive a robot; every command shows agent and token, and prolongs it."""

    robot: str
    agent: str
    token: Annotated[int, Meta(description="The fencing token: it rises with every new lease.")]
    until: Annotated[float, Meta(description="In Unix seconds.")]


class RobotStop(msgspec.Struct, frozen=True, kw_only=True):
    """An emergency stop of a robot."""

    robot: str
    reached: Annotated[bool, Meta(description="Whether the robot took it at once; else it is tried on and on.")]
    seconds: Annotated[float, Meta(description="How long it took, or was tried.")]
    dropped: Annotated[int, Meta(description="Commands that waited for it in this process, and were dropped.")]


class StopReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an emergency stop did."""

    robots: list[RobotStop]
    recorded: Annotated[bool, Meta(description="Whether the database has it yet; it is tried until it has.")]


class Robot(msgspec.Struct, frozen=True, kw_only=True):
    """A robot of the settings: what it may do, who drives it, whether it is stopped."""

    robot: str
    driver: str
    model: str
    max_linear_x: float
    max_linear_y: float
    max_angular_z: float
    deadman_seconds: float
    holder: Annotated[str | None, Meta(description="The agent that drives it; null for nobody.")]
    lease_until: Annotated[float | None, Meta(description="In Unix seconds.")]
    stopped_at: Annotated[float | None, Meta(description="Since when an emergency stop holds; null: none does.")]
    stopped_by: str | None
    stop_reason: str | None
    waiting: Annotated[int, Meta(description="Commands that wait in this process.")]


class HardwareService:
    """The robots of the settings, each with a driver in this process."""

    def __init__(
        self,
        database: sa.Engine,
        settings: HardwareSettings,
        guard: EffectGuard | None,
        clock: Callable[[], float] = time.time,
        *,
        serving: bool = True,
    ) -> None:
        """Without `serving` drivers that are `local` are left
        alone. Raises InvalidInput for settings of drivers.
        """
        self._serving = serving
        self.records: RobotRecords = RobotRecords(database, clock, settings.lease_seconds)
        self.parts: ControlParts = ControlParts(
            database, self.records, guard, clock, RefusalLog(database, self.records)
        )
        self.robots: Mapping[str, RobotControl] = {
            name: RobotControl(name, robot, make_driver(name, robot.driver, robot.options), self.parts)
            for name, robot in settings.robots.items()
        }
        self._settings = settings
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        context: PluginContext,
        clock: Callable[[], float] = time.time,
        *,
        serving: bool = True,
    ) -> AsyncIterator[HardwareService]:
        """The service on these parts; at the end moving robots are stopped, and drivers closed."""
        settings = context.table(HardwareSettings)
        guard = context.find(EffectGuard)
        service = cls(context.database, settings, guard, clock, serving=serving)
        service.parts.interlocks = context.find_all(MotionInterlock)
        for control in service.robots.values():
            await asyncio.to_thread(control.driver.prepare)
        try:
            yield service
        finally:
            await service.close()
            if guard is not None:
                await guard.close()

    async def close(self) -> None:
        """Stop what moves, end what runs beside, let go of the drivers."""
        work = [control.close() for control in self.robots.values()]
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*work)
        except TimeoutError:
            log.error("robots could not be stopped, or their stop not recorded, before the end")
        for task in list(self.parts.background):
            task.cancel()
        await asyncio.gather(*self.parts.background, return_exceptions=True)
        await asyncio.gather(*(control.driver.close() for control in self.robots.values()), return_exceptions=True)

    # leases

    async def lease(self, robot: str, agent: str) -> RobotLease:
        """Let the agent drive, if the rules let it (`hardware.lease`) and nobody else does. Raises Conflict."""
        control = self._control(robot)
        await self._ask(agent, LEASE, robot)
        return _lease(await for_writing(self.parts.database, self.records.acquire, control.robot, agent))

    async def renew(self, robot: str, agent: str, token: int) -> RobotLease:
        """Prolong the lease. Raises LeaseLost."""
        control = self._control(robot)
        return _lease(await for_writing(self.parts.database, self.records.renew, control.robot, agent, token))

    async def release(self, robot: str, agent: str, token: int) -> None:
        """Stop the robot and give the lease back. Raises LeaseLost."""
        control = self._control(robot)
        await for_writing(self.parts.database, self.records.release, robot, agent, token)
        await self._halt_recorded(control, StopReason.LEASE_ENDED)

    # commands

    async def command(
        self, robot: str, agent: str, token: int, movement: Movement, *, key: str | None = None
    ) -> CommandResult:
        """Send a movement; what became of it. With a `key` the same call again sends nothing.

        Raises NotFound, InvalidInput for a movement beyond the robot's bounds, LeaseLost, Conflict during a stop and
        for a command that waited too long, ActionDenied, ApprovalRequired, and Unavailable.
        """
        control = self._control(robot)
        id = f"cmd_{token_for('hardware command', key)}"
        command = RobotCommand(id=id, robot=robot, agent=agent, token=token, movement=movement, asked_at=self._clock())
        if key is not None:
            made = await for_reading(self.parts.database, self.records.find, id, content_of(command))
            if made is not None:
                return made
        return await control.command(command)

    async def list_commands(self, robot: str, limit: int = 100) -> list[CommandResult]:
        """The last commands to a robot, the latest first. Raises NotFound."""
        control = self._control(robot)
        return await for_reading(self.parts.database, self.records.list_commands, control.robot, limit)

    # stops

    async def stop(self, robot: str | None, by: str, reason: str) -> StopReport:
        """Stop one robot, or all: at once, before anything else is done. Raises NotFound."""
        chosen = list(self.robots.values()) if robot is None else [self._control(robot)]
        at, started = self._clock(), time.monotonic()
        for control in chosen:
            control.unrecorded += 1
        here = [control for control in chosen if self._serving or not control.driver.local]
        done = await asyncio.gather(*(_timed_stop(control, started) for control in here))
        left = [RobotStop(robot=one.robot, reached=False, seconds=0.0, dropped=0) for one in chosen if one not in here]
        done = [*done, *left]
        stop = Stop(
            robots=[one.robot for one in done],
            scope=ALL if robot is None else robot,
            by=by,
            reason=reason,
            at=at,
            dropped=sum(one.dropped for one in done),
            not_reached=[one.robot for one in done if not one.reached],
        )
        recording = self.parts.spawn(self._record(stop, chosen, here))
        await asyncio.wait({recording}, timeout=RECORD_SECONDS)
        return StopReport(robots=done, recorded=recording.done())

    async def clear(self, robot: str | None, by: str, reason: str) -> list[str]:
        """End the stop of one robot, or of all, if the rules let `by` do so (`hardware.clear_stop`); which ended.

        Raises NotFound, ActionDenied, ApprovalRequired, and Unavailable.
        """
        chosen = list(self.robots) if robot is None else [self._control(robot).robot]
        for name in chosen:
            if self.robots[name].unrecorded:
                raise Unavailable(f"robot {name}: its stop is not recorded yet; try again in a second")
            await self._ask(by, CLEAR, name)
        cleared = await for_writing(self.parts.database, self.records.clear, chosen, by, reason)
        for name in chosen:
            self.robots[name].stopped = False
        return cleared

    async def end_leases(self, robots: Sequence[str]) -> None:
        """Stop the robots whose leases ended."""
        chosen = [self.robots[name] for name in robots if name in self.robots]
        await asyncio.gather(*(self._halt_recorded(control, StopReason.LEASE_ENDED) for control in chosen))

    async def end_contained(self) -> None:
        """End the leases of agents that were contained while nothing here followed the rules. Raises Unavailable."""
        if self.parts.guard is not None and self.robots:
            agents = await self.parts.guard.contained()
            await self.end_leases(await for_tasks(self.parts.database, self.records.revoke, list(agents)))

    async def stop_recorded(self, robots: Sequence[str]) -> None:
        """Stop the robots whose emergency stop another process recorded; this one's own were stopped already."""
        chosen = [self.robots[name] for name in robots if name in self.robots and not self.robots[name].stopped]
        await asyncio.gather(*(control.emergency_stop() for control in chosen))

    async def stop_left_moving(self) -> None:
        """Stop the robots that a process which ended left moving: that nobody drives, and this one never drove."""
        database = self.parts.database
        moving, held = await for_tasks(database, self.records.moving), await for_tasks(database, self.records.held)
        for name in moving:
            if name in self.robots and name not in held and not self.robots[name].driven:
                await self._halt_recorded(self.robots[name], StopReason.RESTART)

    # reading

    async def list_robots(self) -> list[Robot]:
        """The robots, by name."""
        database = self.parts.database
        held = await for_reading(database, self.records.held)
        stopped = await for_reading(database, self.records.stopped)
        return [_robot(control, held.get(name), stopped.get(name)) for name, control in sorted(self.robots.items())]

    async def state(self, robot: str) -> dict[str, Any] | None:
        """What the robot says of itself now; None when it cannot be asked. Raises NotFound and Unavailable."""
        control = self._control(robot)
        try:
            async with asyncio.timeout(control.settings.timeout):
                state = await control.driver.state()
        except TimeoutError as error:
            raise Unavailable(f"robot {robot}: it did not answer within {control.settings.timeout:g} s") from error
        return None if state is None else dict(state)

    async def _record(self, stop: Stop, chosen: Sequence[RobotControl], here: Sequence[RobotControl]) -> None:
        await self.parts.write(lambda: self.records.stop(stop))
        for control in chosen:
            control.unrecorded -= 1
        # Another process may have sent a movement after the first stop, and before it could know of it.
        await asyncio.gather(*(control.halt(StopReason.EMERGENCY) for control in here))

    async def _halt_recorded(self, control: RobotControl, reason: StopReason) -> None:
        reached = await control.halt(reason)
        await self.parts.write(lambda: self.records.stood_still(control.robot, reason, 0.0, reached))

    def _control(self, robot: str) -> RobotControl:
        control = self.robots.get(robot)
        if control is None:
            known = ", ".join(sorted(self.robots)) or "none"
            raise NotFound(f"no robot has the name {robot[:100]!r}; the settings have {known} ([hardware.robots.NAME])")
        return control

    async def _ask(self, agent: str, action: str, robot: str) -> None:
        await required_guard(self.parts.guard, action).check(agent, action, robot)


async def _timed_stop(control: RobotControl, started: float) -> RobotStop:
    reached, dropped = await control.emergency_stop()
    return RobotStop(robot=control.robot, reached=reached, seconds=time.monotonic() - started, dropped=dropped)


def _lease(lease: Lease) -> RobotLease:
    return RobotLease(robot=lease.name, agent=lease.holder, token=lease.token, until=lease.until)


def _robot(control: RobotControl, lease: Lease | None, stopped: tuple[float, str, str] | None) -> Robot:
    settings: RobotSettings = control.settings
    at, by, reason = stopped or (None, None, None)
    return Robot(
        robot=control.robot,
        driver=settings.driver,
        model=settings.model,
        max_linear_x=settings.max_linear_x,
        max_linear_y=settings.max_linear_y,
        max_angular_z=settings.max_angular_z,
        deadman_seconds=settings.deadman_seconds,
        holder=None if lease is None else lease.holder,
        lease_until=None if lease is None else lease.until,
        stopped_at=at,
        stopped_by=by,
        stop_reason=reason,
        waiting=control.waiting,
    )
