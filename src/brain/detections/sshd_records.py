"""Attempts in sshd's log as records for rules: outcome, user, source_address, method, message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from brain.detections.sshd import SshdAttempts, SshdLine, read_line

MOST_REPEATS = 1_000
"""Records that are made of one line `message repeated N times` at most."""
DAY = 86_400.0
_SYSLOG = re.compile(
    r"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d|<[\w.]+>|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d|\[ *\d+\.\d+"
).match
_ISO = re.compile(
    r"(?:[A-Z][a-z]{2} )?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)? ?(Z|[+-]\d\d:?\d\d|[A-Z]{3,4})?"
).fullmatch
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(MONTHS, 1)}


class SshdRecords:
    """Makes records of lines, in the order in which they were written."""

    def __init__(self) -> None:
        self._attempts = SshdAttempts()

    def records(self, text: str, changed_at: float) -> list[tuple[float | None, Mapping[str, Any]]] | None:
        """The time and the fields of each attempt that the line tells of; None for what is no line of a log.

        A time without a year is not after `changed_at`, when the log was last written, in Unix seconds.
        """
        line = _journal(text) if text.startswith("{") else read_line(text)
        if line is None:
            return [] if _SYSLOG(text) else None
        at = moment_of(line.time, changed_at)
        return [
            (
                at,
                {
                    "outcome": one.outcome,
                    "user": one.user,
                    "source_address": one.address,
                    "method": one.method,
                    "host": line.host,
                    "message": line.message,
                },
            )
            for one in self._attempts.take(line)
            for _ in range(min(one.times, MOST_REPEATS))
        ]


def _journal(text: str) -> SshdLine | None:
    """A line of `journalctl -o json`."""
    import msgspec

    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    program = str(found.get("SYSLOG_IDENTIFIER") or found.get("_COMM") or "")
    message = found.get("MESSAGE")
    if not program.startswith("sshd") or not isinstance(message, str):
        return None
    at = str(found.get("__REALTIME_TIMESTAMP") or "")
    seconds = f"{int(at) / 1e6:.6f}" if at.isdigit() else ""
    return SshdLine(seconds, str(found.get("_HOSTNAME") or ""), str(found.get("_PID") or ""), message)


def moment_of(stamp: str, changed_at: float) -> float | None:
    """The Unix seconds of a time as logs have it; None where it says none. Local time where it has no zone."""
    if (iso := _ISO(stamp)) is not None:
        day, clock, fraction, zone = iso.groups()
        try:
            found = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0'):0<6}")
            if zone in ("Z", "UTC", "GMT"):
                return found.replace(tzinfo=UTC).timestamp()
            if zone and zone[0] in "+-":
                found = datetime.fromisoformat(f"{found.isoformat()}{zone}")
            return found.timestamp()
        except (ValueError, OverflowError):
            return None
    if re.fullmatch(r"\d{9,10}\.\d+", stamp):
        return float(stamp)
    parts = stamp.split()
    if len(parts) < 3 or parts[0] not in _MONTHS:
        return None
    clock = parts[2].partition(".")[0]
    newest = datetime.fromtimestamp(changed_at + DAY).year
    for year in [int(parts[3])] if len(parts) > 3 else range(newest, newest - 9, -1):
        try:
            found = datetime.fromisoformat(f"{year}-{_MONTHS[parts[0]]:02d}-{int(parts[1]):02d}T{clock}")
        except ValueError:
            continue
        if found.timestamp() <= changed_at + DAY or len(parts) > 3:
            return found.timestamp()
    return None
