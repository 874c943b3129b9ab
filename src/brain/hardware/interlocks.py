"""Stops a robot that moves when an interlock no longer lets it go so fast: it waits for no further command."""

from __future__ import annotations

import asyncio
from math import hypot

from brain.errors import Unavailable
from brain.hardware.control import RobotControl
from brain.hardware.models import Movement, StopReason
from brain.hardware.service import HardwareService
from brain.kit.database import OUTAGE
from brain.kit.protocols import MotionLimit
from brain.logs import Log

log: Log = Log("brain.hardware")

LOOK = 0.1
"""Seconds between two looks at the robots that move."""


class InterlockWatch:
    """The robots of one process. Those that stand still cost nothing."""

    def __init__(self, service: HardwareService) -> None:
        self._service = service

    async def run(self) -> None:
        """Look at robots that move, until cancelled."""
        if not self._service.robots or not self._service.parts.interlocks:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(LOOK)
            await self.look()

    async def look(self) -> None:
        """Stop those that move faster than they may now."""
        await asyncio.gather(*(self._look_at(control) for control in self._service.robots.values() if control.moving))

    async def _look_at(self, control: RobotControl) -> None:
        limit = await self._limit(control.robot)
        movement = control.moving
        if limit is None or movement is None or not _too_fast(movement, limit):
            return
        reached = await control.halt(StopReason.INTERLOCK)
        parts, speed = self._service.parts, _speed(movement)
        parts.counts["interlock_stops"] += 1
        parts.spawn(parts.write(lambda: parts.records.interlocked(control.robot, limit, speed, reached)))

    async def _limit(self, robot: str) -> MotionLimit | None:
        """The least of all interlocks; 0 when one of them cannot be asked: nobody knows whether the robot may move."""
        limits = []
        for interlock in self._service.parts.interlocks:
            try:
                limits.append(await interlock.limit(robot))
            except (*OUTAGE, Unavailable) as error:
                log.warning("an interlock cannot be asked: the robot is stopped", robot=robot, error=str(error))
                return MotionLimit(0.0, f"an interlock cannot be asked: {error}")
        return min((limit for limit in limits if limit is not None), key=lambda limit: limit.most, default=None)


def _too_fast(movement: Movement, limit: MotionLimit) -> bool:
    return _speed(movement) > limit.most or not limit.most


def _speed(movement: Movement) -> float:
    return hypot(movement.linear_x, movement.linear_y)
