"""Drivers: what speaks to a robot.

A kind is built in, the name of an entry point of the group `brain.hardware_drivers`, or a class as `module:Class`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from brain.connectors.registry import Registry
from brain.errors import InvalidInput
from brain.extras import missing_extra
from brain.model_faults import model_faults

if TYPE_CHECKING:
    from brain.hardware.models import RobotCommand, StopReason


class DriverSettings(BaseModel):
    """What a driver is set up with: the table `options` of a robot. The model of one kind extends it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


S = TypeVar("S", bound=DriverSettings)


class Driver(ABC, Generic[S]):
    """One robot, as it is spoken to. Subclasses set `settings_model`, and define `send` and `stop`.

    A driver must take `stop` while a `send` is still under way, and at any time.
    """

    settings_model: ClassVar[type[DriverSettings]] = DriverSettings
    """The model of the table `options`."""
    local: ClassVar[bool] = False
    """Whether only the server's process can use it, as with pins; the command line leaves its stops to the server."""

    def __init__(self, robot: str, settings: S) -> None:
        self.robot = robot
        self.settings: S = settings

    def prepare(self) -> None:
        """Called once, in a thread, before anything is sent: a first stop must not wait for an import."""

    @abstractmethod
    async def send(self, command: RobotCommand, seq: int) -> None:
        """Have the robot move so from now on; return once it took the command. What it raises means: perhaps not.

        `seq` only rises; so does the token of the command's lease: a robot may refuse what is older than it has seen.
        """

    @abstractmethod
    async def stop(self, reason: StopReason) -> None:
        """Have the robot stand still; return once it took that. What it raises means: stop it again."""

    async def state(self) -> Mapping[str, Any] | None:
        """What the robot says of itself, such as `battery_percentage`; None when it cannot be asked."""
        return None

    async def close(self) -> None:
        """Let go of connections."""


BUILT_IN: Mapping[str, str] = {
    "gpio": "brain.hardware.gpio:GpioDriver",
    "http": "brain.hardware.http_driver:HttpDriver",
    "mock": "brain.hardware.mock:MockDriver",
}
"""The drivers of this package, by kind."""
_OTHERS: Registry[Driver[Any]] = Registry("brain.hardware_drivers", Driver, "robot driver")


def driver_kinds() -> list[str]:
    """The kinds that can be named without a module, sorted."""
    return sorted({*BUILT_IN, *_OTHERS.kinds()})


def find_driver(kind: str) -> type[Driver[Any]]:
    """The class of this kind. Raises InvalidInput for one that is not there, with those that are, and MissingExtra."""
    reference = BUILT_IN.get(kind, kind)
    if ":" not in reference:
        if kind not in _OTHERS.kinds():
            known = ", ".join(driver_kinds())
            raise InvalidInput(f"driver: no kind {kind!r} is installed; take {known}, or a class as module:Class")
        return _OTHERS.find(kind)
    module, _, name = reference.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:
        if (missing := missing_extra(error, f"robot driver {kind!r}")) is not None:
            raise missing from error
        raise InvalidInput(f"driver: {reference} cannot be imported: {error}; name a class: module:Class") from error
    if not (isinstance(found, type) and issubclass(found, Driver)):
        raise InvalidInput(f"driver: {reference} is no subclass of brain.hardware.drivers.Driver")
    return found


def make_driver(robot: str, kind: str, options: Mapping[str, Any]) -> Driver[Any]:
    """The robot's driver. Raises InvalidInput for an unknown kind and for options that it does not take."""
    found = find_driver(kind)
    try:
        settings = found.settings_model.model_validate(dict(options))
    except ValidationError as error:
        where = f"hardware.robots.{robot}.options"
        faults = [f"{where}.{fault}" for fault in model_faults(error, "all")]
        raise InvalidInput(f"{where} does not fit the driver {kind!r}", faults) from error
    return found(robot, settings)
