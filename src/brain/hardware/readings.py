"""What a reading of a host holds. Null means: not available here, never a zero in its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain.hardware.cgroups import ControlGroup
from brain.hardware.gpus import Gpu
from brain.hardware.pressure import Pressure
from brain.hardware.smart import SmartDisk

_Percent = Annotated[float | None, Meta(description="Percent.")]
_Bytes = Annotated[int, Meta(description="Bytes.")]


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """The processors."""

    percent: Annotated[float | None, Meta(description="Busy since the reading before; null for the first.")]
    count: Annotated[int | None, Meta(description="Logical processors of the host.")]
    usable: Annotated[float | None, Meta(description="Of these, what the control group lets the process use.")]
    load: Annotated[list[float] | None, Meta(description="Load averages of 1, 5 and 15 minutes.")]
    mhz: Annotated[float | None, Meta(description="The present clock.")]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Main memory."""

    total: _Bytes
    available: Annotated[int, Meta(description="Bytes that programs can get without swapping.")]
    percent: Annotated[float, Meta(description="Not available, of the total; of the control group where that is less.")]
    swap_percent: Annotated[float | None, Meta(description="Swap in use; null where there is none.")]


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A file system."""

    path: str
    total: _Bytes
    used: _Bytes
    free: Annotated[int, Meta(description="Bytes that programs can use; those reserved are not in it.")]
    percent: Annotated[float, Meta(description="used / (used + free), as df counts.")]


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface since it came up."""

    name: str
    received: _Bytes
    sent: _Bytes
    errors: Annotated[int, Meta(description="Packets lost or damaged, both ways.")]
    up: bool


class Sensor(msgspec.Struct, frozen=True, kw_only=True):
    """A temperature in degrees Celsius, or a fan in turns a minute."""

    name: str
    value: float


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """The battery."""

    percent: float
    plugged: bool | None
    seconds_left: Annotated[float | None, Meta(description="Null when it charges, or does not know.")]


class HostReading(msgspec.Struct, frozen=True, kw_only=True):
    """A host at a moment; null is what is not available there, and `unavailable` says why."""

    host: str
    at: Annotated[float, Meta(description="When, in Unix seconds.")]
    cpu: Cpu | None = None
    memory: Memory | None = None
    disks: tuple[Disk, ...] | None = None
    network: tuple[Network, ...] | None = None
    temperatures: tuple[Sensor, ...] | None = None
    fans: tuple[Sensor, ...] | None = None
    battery: Battery | None = None
    gpus: tuple[Gpu, ...] | None = None
    smart: tuple[SmartDisk, ...] | None = None
    pressure: Pressure | None = None
    cgroup: ControlGroup | None = None
    unavailable: Annotated[dict[str, str], Meta(description="What is not available, and why.")] = {}


def metrics_of(reading: HostReading) -> dict[str, float]:
    """The values that limits and forecasts are about, by names such as `disk_percent:/`. What is null is left out."""
    return {name: float(value) for name, value in _metrics(reading) if value is not None}


def metrics_of_robot(state: dict[str, Any]) -> dict[str, float]:
    """The same of what a robot says of itself: battery and motors, by the names that the first version had."""
    found: dict[str, float] = {}
    if (charge := _number(state.get("battery_percentage"))) is not None:
        found["battery_percent"] = charge
    motors = state.get("motor_states")
    for number, motor in enumerate(motors if isinstance(motors, list) else ()):
        if isinstance(motor, dict) and (heat := _number(motor.get("temperature"))) is not None:
            found[f"temperature:motor/{motor.get('motor_id', number)}"[:200]] = heat
    return found


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _metrics(reading: HostReading) -> Iterator[tuple[str, float | None]]:
    if reading.cpu is not None:
        yield "cpu_percent", reading.cpu.percent
    if reading.memory is not None:
        yield "memory_percent", reading.memory.percent
        yield "swap_percent", reading.memory.swap_percent
    for disk in reading.disks or ():
        yield f"disk_percent:{disk.path}", disk.percent
    for sensor in reading.temperatures or ():
        yield f"temperature:{sensor.name}", sensor.value
    for sensor in reading.fans or ():
        yield f"fan:{sensor.name}", sensor.value
    if reading.battery is not None:
        yield "battery_percent", reading.battery.percent
    for number, gpu in enumerate(reading.gpus or ()):
        yield f"gpu_percent:{number}", gpu.percent
        yield f"temperature:gpu/{number}", gpu.temperature
        if gpu.memory_total and gpu.memory_used is not None:
            yield f"gpu_memory_percent:{number}", 100.0 * gpu.memory_used / gpu.memory_total
    for drive in reading.smart or ():
        yield f"temperature:disk/{drive.name}", drive.temperature
        yield f"smart_failed:{drive.name}", None if drive.passed is None else float(not drive.passed)
        yield f"smart_used_percent:{drive.name}", drive.used_percent
        yield f"smart_bad_sectors:{drive.name}", drive.bad_sectors
    if reading.pressure is not None:
        for name in ("cpu", "memory", "io"):
            yield f"pressure_{name}", getattr(reading.pressure, name)
