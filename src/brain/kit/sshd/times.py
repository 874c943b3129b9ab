"""The times that logs have, as Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

DAY = 86_400.0
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(MONTHS, 1)}
_YEARS = 9  # 29 February may be eight years away
_ISO = re.compile(
    r"(?:[A-Z][a-z]{2} )?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?"
    r" ?(Z|[+-]\d\d(?::?\d\d)?|[A-Z]{3,4})?"
).fullmatch


def moment_of(stamp: str, changed_at: float) -> float | None:
    """The Unix seconds of a time as logs have it; None where it says none. Local time where it has no zone.

    A time without a year is the latest that is not after `changed_at` (Unix seconds), with a day of slack for clocks
    that disagree.
    """
    if (iso := _ISO(stamp)) is not None:
        return _iso(*iso.groups())
    if re.fullmatch(r"\d{9,10}\.\d+", stamp):
        return float(stamp)
    parts = stamp.split()
    if len(parts) > 3 and parts[1] in _MONTHS:  # a weekday before
        del parts[0]
    if len(parts) < 3 or parts[0] not in _MONTHS:
        return None
    clock = parts[2].partition(".")[0]
    newest = datetime.fromtimestamp(changed_at + DAY).year
    for year in [int(parts[3])] if len(parts) > 3 else range(newest, newest - _YEARS, -1):
        try:
            found = datetime.fromisoformat(
                f"{year:04d}-{_MONTHS[parts[0]]:02d}-{int(parts[1]):02d}T{clock}"
            ).timestamp()
        except (ValueError, OverflowError):
            continue
        if found <= changed_at + DAY or len(parts) > 3:
            return found
    return None


def _iso(day: str, clock: str, fraction: str | None, zone: str | None) -> float | None:
    try:
        found = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0'):0<6}")
        if zone in ("Z", "UTC", "GMT"):
            return found.replace(tzinfo=UTC).timestamp()
        if zone and zone[0] in "+-":
            found = datetime.fromisoformat(f"{found.isoformat()}{zone}")
        return found.timestamp()
    except (ValueError, OverflowError):
        return None
