"""The settings of hardware: the table `[hardware]` of brain.toml."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brain.charter import HealthSeverity
from brain.errors import InvalidInput
from brain.kit.limits import Direction, Limit

MOST_SPEED = 100.0
"""What no robot's settings may go beyond: m/s, and rad/s."""
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]


class LimitSettings(BaseModel):
    """A limit on what is measured."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(
        min_length=1, max_length=200, description="What it limits: `disk_percent` (of each disk), `disk_percent:/data`"
    )
    limit: float = Field(description="The level that crosses it, that level included")
    clear: float | None = Field(default=None, description="The level on the other side that ends it; none: the limit")
    hold: float = Field(default=0.0, ge=0, le=86_400, description="Seconds for which the level must be reached")
    clear_hold: float = Field(default=0.0, ge=0, le=86_400, description="Seconds for which it must be over")
    direction: Direction = Field(default=Direction.ABOVE, description="above, or below as for a battery")
    severity: HealthSeverity = Field(default=HealthSeverity.WARNING, description="Of the health event that it makes")

    @model_validator(mode="after")
    def _levels_fit(self) -> Self:
        try:
            self.rule()
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self

    def rule(self) -> Limit:
        """The limit itself."""
        return Limit(self.limit, self.clear, self.hold, self.clear_hold, self.direction)


class RobotSettings(BaseModel):
    """A robot: how it is spoken to, and what it may do at most."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    driver: str = Field(description="mock, http, gpio, an installed kind, or a class as module:Class")
    options: dict[str, Any] = Field(default_factory=dict, description="What the driver is set up with", repr=False)
    model: str = Field(default="", max_length=200, description="What it is, such as unitree_go2")
    max_linear_x: float = Field(default=1.0, ge=0, le=MOST_SPEED, description="Most m/s forward or backward")
    max_linear_y: float = Field(default=1.0, ge=0, le=MOST_SPEED, description="Most m/s to a side")
    max_angular_z: float = Field(default=2.0, ge=0, le=MOST_SPEED, description="Most rad/s about the vertical")
    deadman_seconds: float = Field(default=0.5, gt=0, le=60, description="Without a command for so long it is stopped")
    timeout: float = Field(default=0.5, gt=0, le=60, description="Seconds that it may take to answer a command")
    command_ttl: float = Field(default=2.0, gt=0, le=60, description="Seconds after which a waiting command is too old")
    queue: int = Field(default=1000, ge=1, le=100_000, description="Most commands that wait")


_DISK = LimitSettings(metric="disk_percent", limit=90.0, clear=85.0, hold=30.0)
_MEMORY = LimitSettings(metric="memory_percent", limit=95.0, clear=90.0, hold=60.0)
_HEAT = LimitSettings(metric="temperature", limit=95.0, clear=85.0, hold=30.0)
_BATTERY = LimitSettings(metric="battery_percent", limit=10.0, clear=15.0, hold=30.0, direction=Direction.BELOW)

_SMART = LimitSettings(metric="smart_failed", limit=1.0, severity=HealthSeverity.CRITICAL)


class HardwareSettings(BaseModel):
    """What is watched, and which robots there are."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    interval: float = Field(default=15.0, ge=0.05, le=3600, description="Seconds between two readings")
    paths: tuple[str, ...] = Field(default=(), description="Folders whose file systems are watched besides the disks")
    smart: tuple[str, ...] = Field(
        default=(), description="Files that `smartctl --json --all` wrote, as patterns such as /run/smart/*.json"
    )
    limits: tuple[LimitSettings, ...] = Field(
        default=(_DISK, _MEMORY, _HEAT, _BATTERY, _SMART), description="Limits; the first that fits a metric holds"
    )
    forecast_hours: float = Field(default=48.0, gt=0, le=8784, description="A disk full within so many is announced")
    forecast_window: float = Field(default=21_600.0, ge=60, description="Seconds of readings that make a forecast")
    lease_seconds: float = Field(default=30.0, ge=0.5, le=3600, description="How long a lease holds without a command")
    keep_days: float = Field(default=7.0, gt=0, le=366, description="Days for which commands are listed")
    robots: dict[_Name, RobotSettings] = Field(default_factory=dict, description="The robots, by name")

    def limit_for(self, metric: str) -> LimitSettings | None:
        """The limit of a metric such as `disk_percent:/`: the first of that name, or of what is before its colon."""
        kind = metric.partition(":")[0]
        return next((limit for limit in self.limits if limit.metric in (metric, kind)), None)
