"""What disks say of themselves (SMART), from files that `smartctl --json --all DEVICE` wrote.

smartctl needs the rights of root, and a server should not have them: a timer of the system writes the files. Its JSON:
https://www.smartmontools.org/wiki/smartctl_json. A field that a disk does not have is null, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain.json_text import JSON_FAULTS
from brain.typed import ready

OLDEST = 86_400.0
"""Seconds after which a file says nothing about now."""
_BYTES = 4 << 20  # most of one file
_REALLOCATED, _PENDING = 5, 197  # attributes of ATA disks


class SmartDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A disk by its own account; null is what it does not say."""

    name: Annotated[str, Meta(description="The device, such as sda.")]
    model: str | None
    passed: Annotated[bool | None, Meta(description="Whether it expects to go on working.")]
    temperature: Annotated[float | None, Meta(description="Degrees Celsius.")]
    hours: Annotated[int | None, Meta(description="Hours that it was on.")]
    used_percent: Annotated[float | None, Meta(description="How much of its endurance is used; may be over 100.")]
    bad_sectors: Annotated[int | None, Meta(description="Sectors that were moved or wait for it, or media errors.")]
    at: Annotated[float, Meta(description="When it was asked, in Unix seconds.")]


def read_smart(patterns: Sequence[str], now: float) -> tuple[tuple[SmartDisk, ...] | None, str]:
    """The disks in the files of these patterns; or None, and why there are none."""
    if not patterns:
        return None, "no file of smartctl is set ([hardware] smart)"
    found: dict[str, SmartDisk] = {}
    faults = []
    for file in sorted({file for pattern in patterns for file in glob(pattern)}):
        try:
            disk = _disk(_document(Path(file)), now)
        except (OSError, *JSON_FAULTS) as error:
            faults.append(f"{file}: {error}")
        else:
            found[disk.name] = disk
    return tuple(found.values()) or None, "; ".join(faults) or "there is no such file: " + ", ".join(patterns)


def _document(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return msgspec.json.decode(opened.read(_BYTES), type=ready(dict[str, Any]))


def _disk(document: dict[str, Any], now: float) -> SmartDisk:
    name, at = _at(document, "device", "name"), _number(_at(document, "local_time", "time_t"))
    if not isinstance(name, str) or at is None:
        raise ValueError("it is not what smartctl --json --all writes, or the device could not be opened")
    if not now - OLDEST <= at:
        raise ValueError("it is older than a day")
    passed, model = _at(document, "smart_status", "passed"), document.get("model_name")
    hours = _number(_at(document, "power_on_time", "hours"))
    return SmartDisk(
        name=name.removeprefix("/dev/")[:100],
        model=model[:200] if isinstance(model, str) else None,
        passed=passed if isinstance(passed, bool) else None,
        temperature=_number(_at(document, "temperature", "current")),
        hours=None if hours is None else int(hours),
        used_percent=_number(_at(document, "nvme_smart_health_information_log", "percentage_used")),
        bad_sectors=_bad_sectors(document),
        at=at,
    )


def _bad_sectors(document: dict[str, Any]) -> int | None:
    errors = _number(_at(document, "nvme_smart_health_information_log", "media_errors"))
    table = _at(document, "ata_smart_attributes", "table")
    counts = [
        _number(_at(row, "raw", "value"))
        for row in (table if isinstance(table, list) else ())
        if isinstance(row, dict) and row.get("id") in (_REALLOCATED, _PENDING)
    ]
    known = [count for count in (errors, *counts) if count is not None]
    return int(sum(known)) if known else None


def _at(document: dict[str, Any], *names: str) -> Any:
    value: Any = document
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
