"""The driver `gpio`: wheels on the pins of a Raspberry Pi, and a relay that gives them power, by gpiozero.

A stop turns the relay off. It needs no movement to end, and no network.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from brain.errors import InvalidInput, Unavailable
from brain.extras import needs
from brain.hardware.drivers import Driver, DriverSettings

if TYPE_CHECKING:
    from brain.hardware.models import RobotCommand, StopReason

Pins = tuple[int, int]
"""The pins of one motor: forward, backward; as the chip numbers them (BCM)."""


class GpioSettings(DriverSettings):
    """Two motors, and the relay of their power."""

    left: Pins = Field(description="Pins of the left motor: forward, backward (BCM numbers)")
    right: Pins = Field(description="Pins of the right motor: forward, backward")
    power: int | None = Field(default=None, ge=0, description="Pin of the relay that powers both; none: there is none")
    track: float = Field(default=0.5, gt=0, description="Metres between the wheels")
    full_speed: float = Field(default=1.0, gt=0, description="Metres a second of a wheel at full power")


class GpioDriver(Driver[GpioSettings]):
    """A robot with two driven wheels; it cannot move sideways."""

    settings_model: ClassVar[type[DriverSettings]] = GpioSettings
    local: ClassVar[bool] = True

    async def send(self, command: RobotCommand, seq: int) -> None:
        """Turn the wheels. Raises InvalidInput for a movement to the side, Unavailable where there are no pins."""
        movement = command.movement
        if movement.linear_y:
            raise InvalidInput(f"linear_y: robot {self.robot} has two wheels and cannot move sideways; leave it at 0")
        turn = movement.angular_z * self.settings.track / 2
        robot, power = self._parts
        if power is not None:
            power.on()
        robot.value = (self._share(movement.linear_x - turn), self._share(movement.linear_x + turn))

    async def stop(self, reason: StopReason) -> None:
        """Take the power away, then let the wheels stand. Raises Unavailable where there are no pins."""
        robot, power = self._parts
        if power is not None:
            power.off()
        robot.stop()

    async def close(self) -> None:
        """Take the power away and let go of the pins: they become inputs, and the wiring decides their level."""
        if "_parts" in self.__dict__:
            robot, power = self.__dict__.pop("_parts")
            if power is not None:
                power.off()
                power.close()
            robot.stop()
            robot.close()

    def _share(self, speed: float) -> float:
        return max(-1.0, min(1.0, speed / self.settings.full_speed))

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        with needs("robot driver 'gpio'", "gpio"):
            import gpiozero
        try:
            power = None if self.settings.power is None else gpiozero.OutputDevice(self.settings.power)
            return gpiozero.Robot(left=self.settings.left, right=self.settings.right), power
        except gpiozero.GPIOZeroError as error:
            raise Unavailable(f"robot {self.robot}: the pins cannot be used: {error}") from error
