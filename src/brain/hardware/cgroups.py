"""What the process's control group (a container, a systemd unit) permits, read from files of version 2 and 1.

psutil knows the host alone. https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/memory.html
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

_NO_LIMIT = 1 << 62
"""Version 1 says so much, or a little more, for no limit: the largest multiple of a page in 63 bits."""


class ControlGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What the control group permits and uses; null where it sets no limit, or is not there."""

    version: Annotated[int, Meta(description="1 or 2.")]
    memory_limit: Annotated[int | None, Meta(description="Bytes; null: no limit.")]
    memory_used: Annotated[int | None, Meta(description="Bytes, without file caches that can be given back.")]
    cpu_limit: Annotated[float | None, Meta(description="Processors' worth of time; null: no limit.")]


def read_cgroup(root: Path = Path("/")) -> ControlGroup | None:
    """The limits of this process; None where there are no control groups. `root` has `proc` and `sys`."""
    groups = _groups(root)
    base = root / "sys/fs/cgroup"
    if (base / "cgroup.controllers").is_file():
        return _version_2(base, groups.get("", "/"))
    if "memory" in groups or "cpu" in groups:
        return _version_1(base, groups)
    return None


def _version_2(base: Path, group: str) -> ControlGroup | None:
    folders = list(_upwards(base, group))
    limits = [limit for folder in folders if (limit := _number(folder / "memory.max")) is not None]
    cpus = [cpu for folder in folders if (cpu := _cpu_max(folder / "cpu.max")) is not None]
    used = _used(folders[0], "memory.current", "inactive_file")
    return ControlGroup(
        version=2, memory_limit=min(limits, default=None), memory_used=used, cpu_limit=min(cpus, default=None)
    )


def _version_1(base: Path, groups: dict[str, str]) -> ControlGroup | None:
    memory = list(_upwards(base / "memory", groups.get("memory", "/")))
    cpu = list(_upwards(base / "cpu", groups.get("cpu", "/")))
    limits = [
        limit
        for folder in memory
        if (limit := _number(folder / "memory.limit_in_bytes")) is not None and limit < _NO_LIMIT
    ]
    cpus = [share for folder in cpu if (share := _quota(folder)) is not None]
    used = _used(memory[0], "memory.usage_in_bytes", "total_inactive_file")
    return ControlGroup(
        version=1, memory_limit=min(limits, default=None), memory_used=used, cpu_limit=min(cpus, default=None)
    )


def _groups(root: Path) -> dict[str, str]:
    """The process's group by controller; by "" that of version 2."""
    found = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _upwards(base: Path, group: str) -> Iterator[Path]:
    """The folders of the group and of those that it is in: each limit holds for all below it.

    Inside a container the path is often the host's, and the group's files are at the top.
    """
    folder = base / group.strip("/")
    if ".." in group or not folder.is_dir():
        folder = base
    yield folder
    while folder != base:
        folder = folder.parent
        yield folder


def _used(folder: Path, file: str, caches: str) -> int | None:
    used = _number(folder / file)
    if used is None:
        return None
    lines = (line.partition(" ") for line in _text(folder / "memory.stat").splitlines())
    return max(0, used - next((int(value) for name, _, value in lines if name == caches and value.isdecimal()), 0))


def _cpu_max(file: Path) -> float | None:
    quota, _, period = _text(file).strip().partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def _quota(folder: Path) -> float | None:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota is not None and quota > 0 and period else None


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.lstrip("-").isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace")
    except OSError:  # there is no such file, or none that this process may read: not available
        return ""
