"""Syslog lines: their time, host, program and message."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: number for number, name in enumerate(_MONTHS, start=1)}
DAY = 86_400.0

_LINE = re.compile(
    r"(?:<\d{1,3}>)?"  # the priority, when the line comes from the network
    r"(?:(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<clock>\d\d:\d\d:\d\d)|(?P<iso>\d{4}-\d\d-\d\dT\S+))"
    r" (?P<host>\S+) (?P<program>[^\s:\[(]+)(?:\(\S*\))?(?:\[\d+\])?: (?P<message>.*)",
    re.DOTALL,
).fullmatch


class SyslogLine(NamedTuple):
    """One line; `timestamp` in Unix seconds."""

    timestamp: float
    host: str
    program: str
    message: str


class SyslogParser:
    """Reads lines with traditional times (`Dec 10 06:55:46`, no year, local time) or ISO 8601 ones.

    A time without a year is read as the latest that is not after `reference` (Unix seconds), with a day of slack for
    clocks that disagree: the file's own time of change, or now.
    """

    def __init__(self, reference: float) -> None:
        self._latest = reference + DAY
        self._known: tuple[str, float] = ("", 0.0)

    def parse(self, line: str) -> SyslogLine | None:
        """The line's parts, or None when it is no syslog line."""
        found = _LINE(line)
        if found is None:
            return None
        written = line[: found.start("host")]
        if written != self._known[0]:  # many lines of one second: worked out once
            timestamp = self._timestamp(found)
            if timestamp is None:
                return None
            self._known = (written, timestamp)
        return SyslogLine(self._known[1], found["host"], found["program"], found["message"])

    def _timestamp(self, found: re.Match[str]) -> float | None:
        try:
            if found["iso"]:
                return datetime.fromisoformat(found["iso"]).timestamp()
            hour, minute, second = map(int, found["clock"].split(":"))
            month, day = MONTHS[found["month"]], int(found["day"])
        except (ValueError, KeyError, OverflowError):
            return None
        newest = datetime.fromtimestamp(self._latest).year
        for year in range(newest, newest - 9, -1):  # nine: 29 February may be eight years away
            try:
                timestamp = datetime(year, month, day, hour, minute, second).timestamp()
            except ValueError:
                continue
            if timestamp <= self._latest:
                return timestamp
        return None
