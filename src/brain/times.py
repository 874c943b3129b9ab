"""Points in time as people write them: `90s`, `1h`, `7d` ago, an ISO 8601 time, or Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from brain.errors import InvalidInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])").fullmatch
_UNIX = re.compile(r"\d+(?:\.\d+)?").fullmatch
_LATEST = 1e11
LONGEST: float = 10 * 365 * 86_400.0
"""Seconds; what is said to be longer or older is a fault of somebody's clock: milliseconds, or the year 1970."""


def plausible(at: float, now: float) -> float:
    """The Unix time `at` of something that has happened; `now` where it lies ahead of that, or is absurdly old."""
    return at if 0 <= now - at <= LONGEST else now


AHEAD: float = 300.0
"""Seconds that the clock of another machine may be ahead."""


def due_after(last: float, wait: float, now: float) -> float:
    """When `wait` seconds after `last` are over, all in Unix seconds.

    At once when `last` lies ahead of `now`: it is of a clock that has been set back since, or of another one.
    """
    return last + wait if last <= now else now


def check_not_ahead(at: float, now: float, name: str) -> float:
    """The Unix time `at` of something that is said to have happened.

    Raises InvalidInput, beginning with `name`, for one that lies further ahead of `now` than clocks differ.
    """
    if at > now + AHEAD:
        raise InvalidInput(f"{name}: lies {at - now:.0f} s ahead of this server's clock; set the clock of the sender")
    return at


def parse_time(text: str, now: float, name: str = "time") -> float:
    """The Unix seconds that `text` means at the Unix time `now`; an ISO time without a zone is taken as UTC.

    Raises InvalidInput, beginning with `name`, for anything else.
    """
    text = text.strip()
    found = -1.0
    if ago := _AGO(text):
        found = now - float(ago[1]) * _UNITS[ago[2]]
    elif _UNIX(text):
        found = float(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is not None:
            found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if _LATEST <= found < _LATEST * 1000 and _UNIX(text):
        raise InvalidInput(f"{name}: {text[:80]} looks like milliseconds; write Unix seconds, {found / 1000:.3f}")
    if not 0 <= found < _LATEST:
        raise InvalidInput(
            f"{name}: {text[:80]!r} is not a time; write an age (90s, 15m, 1h, 7d), an ISO 8601 time "
            "(2024-12-28T09:30:00Z) or Unix seconds (1703001234.5)"
        )
    return found
