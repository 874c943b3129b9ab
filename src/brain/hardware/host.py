"""Reads this host by psutil, its control group, pressure and SMART from files, its graphics cards by nvidia-ml-py."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from brain.extras import pip_line
from brain.hardware.cgroups import ControlGroup, read_cgroup
from brain.hardware.gpus import read_gpus
from brain.hardware.pressure import read_pressure
from brain.hardware.readings import Battery, Cpu, Disk, HostReading, Memory, Network, Sensor
from brain.hardware.smart import read_smart

T = TypeVar("T")

_LEAST_SECONDS = 0.2
"""Of processor time between two readings of how busy it was; the clock of the kernel ticks each 0.01 s."""
_PARTS = ("cpu", "memory", "disks", "network", "temperatures", "fans", "battery")


class HostSensors:
    """The sensors of this host; `read` blocks for some milliseconds. Not for several threads at once.

    `paths` are watched besides the disks; `smart` are patterns of files that smartctl wrote. `root` has the files of
    `proc` and `sys`. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        paths: Sequence[str] = (),
        root: Path = Path("/"),
        clock: Callable[[], float] = time.time,
        smart: Sequence[str] = (),
    ) -> None:
        self.host: str = socket.gethostname()
        self._smart = tuple(smart)
        self._paths = tuple(paths)
        self._root = root
        self._clock = clock
        self._busy: tuple[float, float] | None = None  # seconds of processor time: busy, all
        self._percent: float | None = None

    def read(self) -> HostReading:
        """A reading as of now."""
        reasons: dict[str, str] = {}
        cgroup = read_cgroup(self._root)
        gpus, why = read_gpus(self._root)
        if gpus is None:
            reasons["gpus"] = why
        smart, why = read_smart(self._smart, self._clock())
        if smart is None:
            reasons["smart"] = why
        found: dict[str, Any] = {"cgroup": cgroup, "pressure": read_pressure(self._root), "gpus": gpus, "smart": smart}
        found |= self._by_psutil(cgroup, reasons)
        for name in ("cgroup", "pressure"):
            if found[name] is None:
                reasons[name] = "the kernel does not say"
        return HostReading(host=self.host, at=self._clock(), unavailable=reasons, **found)

    def _by_psutil(self, cgroup: ControlGroup | None, reasons: dict[str, str]) -> Mapping[str, Any]:
        try:
            import psutil
        except ImportError:
            reasons |= dict.fromkeys(_PARTS, f"psutil is not installed; run: {pip_line('hardware')}")
            return {}
        parts: Mapping[str, Callable[[], Any]] = {
            "cpu": lambda: self._cpu(psutil, cgroup),
            "memory": lambda: _memory(psutil, cgroup),
            "disks": lambda: self._disks(psutil, reasons),
            "network": lambda: _network(psutil),
            "temperatures": lambda: _sensors(psutil.sensors_temperatures()),
            "fans": lambda: _sensors(psutil.sensors_fans()),
            "battery": lambda: _battery(psutil.sensors_battery()),
        }
        found = {}
        for name, read in parts.items():
            try:
                found[name] = read()
            except (psutil.Error, OSError, AttributeError, NotImplementedError, ValueError) as error:
                found[name] = None  # psutil leaves functions out, or fails, on some systems
                reasons[name] = f"cannot be read: {error!r}"
            if found[name] is None:
                reasons.setdefault(name, "this host has none, or does not say")
        return found

    def _cpu(self, psutil: Any, cgroup: ControlGroup | None) -> Cpu:
        count = psutil.cpu_count()
        limit = None if cgroup is None else cgroup.cpu_limit
        usable = min(float(count), limit) if count and limit else limit or (float(count) if count else None)
        frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
        return Cpu(
            percent=self._busy_since(psutil.cpu_times()),
            count=count,
            usable=usable,
            load=[float(one) for one in psutil.getloadavg()],
            mhz=None if frequency is None or not frequency.current else float(frequency.current),
        )

    def _busy_since(self, times: Any) -> float | None:
        """Busy share since the reading before. Time of guests is in `user` too; waiting for a disk is idle."""
        named: dict[str, float] = times._asdict()
        every = sum(named.values()) - named.get("guest", 0.0) - named.get("guest_nice", 0.0)
        busy = every - named["idle"] - named.get("iowait", 0.0)
        if self._busy is not None and 0 <= every - self._busy[1] < _LEAST_SECONDS:
            return self._percent  # too little time for a share that says anything
        before, self._busy = self._busy, (busy, every)
        if before is not None and every > before[1]:
            self._percent = max(0.0, min(100.0, 100.0 * (busy - before[0]) / (every - before[1])))
        return self._percent

    def _disks(self, psutil: Any, reasons: dict[str, str]) -> tuple[Disk, ...] | None:
        found: dict[str, Disk] = {}
        devices = set()
        for part in psutil.disk_partitions():
            if part.device not in devices and (disk := _disk(psutil, part.mountpoint, reasons)) is not None:
                devices.add(part.device)
                found[disk.path] = disk
        for path in ("/", *self._paths):
            if path not in found and (disk := _disk(psutil, path, reasons)) is not None:
                found[path] = disk
        return tuple(found.values()) or None


def _disk(psutil: Any, path: str, reasons: dict[str, str]) -> Disk | None:
    try:
        usage = psutil.disk_usage(path)
    except OSError as error:
        reasons[f"disks:{path}"] = f"cannot be read: {error.strerror or error!r}"
        return None
    if not usage.total:
        return None  # a file system without blocks, such as /proc
    whole = usage.used + usage.free
    percent = 100.0 * usage.used / whole if whole else 100.0
    return Disk(path=path, total=usage.total, used=usage.used, free=usage.free, percent=percent)


def _memory(psutil: Any, cgroup: ControlGroup | None) -> Memory:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    total, available = int(memory.total), int(memory.available)
    if cgroup is not None and cgroup.memory_limit is not None and cgroup.memory_limit < total:
        total = cgroup.memory_limit
        available = min(available, max(0, total - (cgroup.memory_used or 0)))
    return Memory(
        total=total,
        available=available,
        percent=100.0 * (total - available) / total,
        swap_percent=float(swap.percent) if swap.total else None,
    )


def _network(psutil: Any) -> tuple[Network, ...] | None:
    states = psutil.net_if_stats()
    found = [
        Network(
            name=name,
            received=counts.bytes_recv,
            sent=counts.bytes_sent,
            errors=counts.errin + counts.errout + counts.dropin + counts.dropout,
            up=bool(states[name].isup) if name in states else False,
        )
        for name, counts in psutil.net_io_counters(pernic=True).items()
    ]
    return tuple(found) or None


def _sensors(chips: Mapping[str, Sequence[Any]]) -> tuple[Sensor, ...] | None:
    found = [
        Sensor(name=f"{chip}/{one.label or number}", value=float(one.current))
        for chip, sensors in chips.items()
        for number, one in enumerate(sensors)
        if one.current is not None
    ]
    return tuple(found) or None


def _battery(battery: Any) -> Battery | None:
    if battery is None:
        return None
    left = battery.secsleft
    return Battery(
        percent=float(battery.percent),
        plugged=battery.power_plugged,
        seconds_left=float(left) if isinstance(left, int | float) and left >= 0 else None,
    )
