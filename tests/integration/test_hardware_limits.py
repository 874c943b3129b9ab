"""Readings against /proc, and limits on a real file system that is filled and emptied."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from brain.charter import Event
from brain.hardware.host import HostSensors
from brain.hardware.readings import HostReading
from support.clock import Clock
from support.robots import Fleet, fleet
from support.waiting import until, wait_until

MIB = 1 << 20


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 10 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path, size: int) -> None:
    """Make one file of the folder so large."""
    (folder / "filling").write_bytes(b"x" * size)


def limits(**more: object) -> list[dict[str, object]]:
    return [{"metric": "disk_percent", "limit": 90.0, "clear": 85.0, **more}]


def about(events: list[Event], folder: Path) -> list[tuple[str, float]]:
    """What happened to the folder's limit, and at which value."""
    return [
        (event.type.removeprefix("hardware.limit_"), event.payload["value"])
        for event in events
        if event.payload["metric"] == f"disk_percent:{folder}"
    ]


async def test_a_file_system_that_fills_crosses_its_limit_once_and_clears_below_another(
    tmp_path: Path, tmpfs: Path
) -> None:
    async with fleet(tmp_path, paths=[str(tmpfs)], limits=limits(), robots={}) as here:
        assert psutil.disk_usage(str(tmpfs)).total == 10 * MIB
        await until(lambda: bool(here.tasks.monitor.values))
        percent = [50, 89, 90, 91, 89, 91, 86, 90, 85, 91, 84, 86, 89]  # 10 MiB has 2,560 pages
        for share in percent:
            fill(tmpfs, -(-2560 * share // 100) * 4096)
            await here.tasks.monitor.look()
        assert about(await here.events("hardware.limit_*"), tmpfs) == [
            ("crossed", pytest.approx(90.0, abs=0.04)),
            ("cleared", pytest.approx(84.0, abs=0.04)),
        ]
        await until(lambda: health(here) == 1)
        device = await first_device(here)
        assert [limit.metric for limit in device.limits if limit.metric.endswith(str(tmpfs))] == []


async def test_readings_without_news_make_no_event(tmp_path: Path) -> None:
    async with fleet(tmp_path, robots={}, limits=[{"metric": "memory_percent", "limit": 100.0}]) as here:
        await until(lambda: bool(here.tasks.monitor.values))
        for _ in range(20):
            await here.tasks.monitor.look()
        assert [event.type for event in await here.events()] == ["hardware.device_added"]


def health(here: Fleet) -> int:
    """How many health events there are of the kind that limits make."""
    from brain import ImmuneService

    summary = ImmuneService(here.context.stream, here.context.store).health_summary(minutes=60)
    return summary.by_kind.get("RESOURCE_EXHAUSTION", 0)


async def first_device(here: Fleet) -> object:
    from brain.hardware.devices import list_devices

    with here.context.database.begin() as db:
        return list_devices(db)[0]


async def test_a_limit_holds_for_its_time_and_survives_a_restart(tmp_path: Path, tmpfs: Path) -> None:
    clock = Clock()
    table = {"paths": [str(tmpfs)], "limits": limits(hold=60.0), "robots": {}}
    fill(tmpfs, 10 * MIB)
    for seconds in (59.0, 1.0, 3600.0):  # one reading in each run: at 0, 59, 60 and 3,660 s
        async with fleet(tmp_path, clock=clock, run=False, **table) as here:
            await here.tasks.monitor.look()
        clock.advance(seconds)
    async with fleet(tmp_path, clock=clock, **table) as here:
        crossed = [event.payload for event in await here.events("hardware.limit_crossed")]
    mine = [one for one in crossed if one["metric"] == f"disk_percent:{tmpfs}"]
    assert [(one["for_seconds"], one["limit"]) for one in mine] == [(60.0, 90.0)]


async def test_a_disk_that_will_be_full_is_announced_once(tmp_path: Path, tmpfs: Path) -> None:
    clock = Clock()
    fill(tmpfs, 4 * MIB - MIB // 10)
    async with fleet(tmp_path, clock=clock, paths=[str(tmpfs)], limits=[], robots={}, forecast_hours=24.0) as here:
        await until(lambda: bool(here.tasks.monitor.values))
        for step in range(40):
            fill(tmpfs, 4 * MIB + step * MIB // 10)  # 1 % in 300 s: 12 % an hour
            clock.advance(300.0)
            await here.tasks.monitor.look()
        forecasts = [event.payload for event in await here.events("hardware.forecast")]
    mine = [one for one in forecasts if one["metric"] == f"disk_percent:{tmpfs}"]
    assert len(mine) <= 3
    assert mine[0]["slope"] == pytest.approx(12.0, rel=0.1)
    assert mine[0]["hours"] == pytest.approx((100 - 45) / 12, rel=0.1)
    assert mine[0]["r2"] > 0.99


def from_proc() -> dict[str, float]:
    """Seconds of processor time (busy, all), and bytes of memory and network, as the kernel writes them."""
    ticks = os.sysconf("SC_CLK_TCK")
    user, nice, system, idle, iowait, irq, softirq, steal, *_ = (
        int(word) / ticks for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    )
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    kib = {name: 1024.0 * int(value.split()[0]) for name, value in memory.items()}
    network = [line.split(":")[1].split() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    busy = user + nice + system + irq + softirq + steal
    return {
        "busy": busy,
        "all": busy + idle + iowait,
        "total": kib["MemTotal"],
        "available": kib["MemAvailable"],
        "received": sum(float(one[0]) for one in network),
        "sent": sum(float(one[8]) for one in network),
        "load": float(Path("/proc/loadavg").read_text().split()[0]),
    }


def read_between(sensors: HostSensors) -> tuple[dict[str, float], HostReading, dict[str, float]]:
    return from_proc(), sensors.read(), from_proc()


def bounds(before: dict[str, float], after: dict[str, float], name: str) -> tuple[float, float]:
    """What the reading may say, by what /proc said just before and just after it: within 1 % of either."""
    low, high = sorted((before[name], after[name]))
    return 0.99 * low, 1.01 * high


def check(readings: int, seconds: float) -> None:
    """Compare so many readings with /proc, `seconds` of processor time apart."""
    sensors = HostSensors()
    earlier = read_between(sensors)
    for _ in range(readings):
        wait_until(lambda: from_proc()["all"] - earlier[2]["all"] >= seconds)  # noqa: B023
        now = before, reading, after = read_between(sensors)
        assert reading.memory is not None
        assert reading.network is not None
        assert reading.cpu is not None
        assert reading.cpu.percent is not None
        assert reading.cpu.load is not None
        said = {
            "total": float(reading.memory.total),
            "available": float(reading.memory.available),
            "received": float(sum(one.received for one in reading.network)),
            "sent": float(sum(one.sent for one in reading.network)),
            "load": reading.cpu.load[0],
        }
        for name, value in said.items():
            low, high = bounds(before, after, name)
            assert low - 0.01 <= value <= high + 0.01, name
        least = (before["busy"] - earlier[2]["busy"]) / (after["all"] - earlier[0]["all"])
        most = (after["busy"] - earlier[0]["busy"]) / (before["all"] - earlier[2]["all"])
        assert 100 * least - 1 <= reading.cpu.percent <= min(100, 100 * most) + 1
        disk = os.statvfs("/")
        used = (disk.f_blocks - disk.f_bfree) / (disk.f_blocks - disk.f_bfree + disk.f_bavail)
        (root,) = [one for one in reading.disks or () if one.path == "/"]
        assert root.percent == pytest.approx(100 * used, rel=0.01)
        earlier = now


def test_readings_are_those_of_proc() -> None:
    check(3, 0.5)


@pytest.mark.long
def test_sixty_readings_are_those_of_proc() -> None:
    check(60, 2.0)
