"""The driver `mock`: a robot in this process that moves nothing, for trying things out and for tests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic import Field

from brain.hardware.drivers import Driver, DriverSettings
from brain.hardware.models import Movement, RobotCommand, StopReason


class MockSettings(DriverSettings):
    """A robot that only remembers."""

    seconds: float = Field(default=0.0, ge=0, description="How long it takes to answer a movement")
    battery_percentage: float | None = Field(default=None, ge=0, le=100, description="What it says of its battery")


class Received(NamedTuple):
    """Something that the mock took."""

    at: float
    """By `time.monotonic()`."""
    command: RobotCommand | None
    """None for a stop."""
    seq: int | None
    reason: StopReason | None


class MockDriver(Driver[MockSettings]):
    """Remembers the last 10,000 things that it took, and what it would do now."""

    settings_model: ClassVar[type[DriverSettings]] = MockSettings
    local: ClassVar[bool] = True

    def __init__(self, robot: str, settings: MockSettings) -> None:
        super().__init__(robot, settings)
        self.received: deque[Received] = deque(maxlen=10_000)
        self.movement: Movement = Movement()

    async def send(self, command: RobotCommand, seq: int) -> None:
        """Take it, then wait as long as the settings say."""
        self.received.append(Received(time.monotonic(), command, seq, None))
        self.movement = command.movement
        if self.settings.seconds:
            await asyncio.sleep(self.settings.seconds)

    async def stop(self, reason: StopReason) -> None:
        """Stand still."""
        self.received.append(Received(time.monotonic(), None, None, reason))
        self.movement = Movement()

    async def state(self) -> Mapping[str, Any]:
        """The battery as it is set."""
        charge = self.settings.battery_percentage
        return {} if charge is None else {"battery_percentage": charge}
