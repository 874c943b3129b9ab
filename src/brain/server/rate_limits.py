"""How often each sender may ask: a bucket for each class of route, and each principal or address.

The buckets are those of this process: N servers allow N times as much. Source: the generic cell rate algorithm (GCRA),
by which a bucket is one number, the time at which it is full again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from brain.access.settings import AccessSettings
from brain.charter import Principal
from brain.server.paths import OPEN_PAGES

DECIDE, READ, CHANGE, REFUSED, LOG_IN = "decisions", "reads", "changes", "refusals", "log-ins"
OPEN = "uses of links"
MOST = 100_000
"""How many buckets there are at most; when none of them is full, new senders share one."""
_DECIDING = frozenset(f"/api/policy/{path}" for path in ("evaluate", "evaluate-many", "evaluate/batch"))
_FREE = frozenset({"/healthz", "/readyz"})


class SenderRate(NamedTuple):
    """So many a second in the long run, and so many at once."""

    per_second: float
    burst: float


class Buckets:
    """The buckets of one class. `clock` gives seconds."""

    def __init__(self, rate: SenderRate, clock: Callable[[], float] = time.monotonic, most: int = MOST) -> None:
        self._cost = 1 / rate.per_second
        self._ahead = rate.burst / rate.per_second
        self._clock = clock
        self._most = most
        self._full_at: dict[str, float] = {}

    def take(self, name: str) -> float:
        """Take one; 0.0 when there was one, else the seconds until there is."""
        now = self._clock()
        full_at = self._full_at.get(name)
        if full_at is None:
            full_at = now
            if len(self._full_at) >= self._most:
                name, full_at = self._room(name, now)
        if full_at < now:
            full_at = now
        after = full_at + self._cost
        if after - now > self._ahead:
            return after - now - self._ahead
        self._full_at[name] = after
        return 0.0

    def give_back(self, name: str) -> None:
        """Undo the last `take` of this name, which gave 0.0."""
        self._full_at[name if name in self._full_at else ""] -= self._cost

    def _room(self, name: str, now: float) -> tuple[str, float]:
        """The bucket for a new name: its own, once those that are full are forgotten; else one that all share."""
        self._full_at = {kept: full_at for kept, full_at in self._full_at.items() if full_at > now}
        if len(self._full_at) < self._most:
            return name, now
        return "", self._full_at.get("", now)


class RateLimits:
    """All buckets of a server."""

    def __init__(self, settings: AccessSettings, clock: Callable[[], float] = time.monotonic) -> None:
        rates: Mapping[str, SenderRate] = {
            DECIDE: _rate(settings.decisions_rate, 10),
            READ: _rate(settings.reads_rate, 10),
            CHANGE: _rate(settings.changes_rate, 10),
            REFUSED: _rate(settings.refusals_rate, 100),
            LOG_IN: SenderRate(1.0, 20.0),
            OPEN: SenderRate(1.0, 60.0),
        }
        self._buckets = {kind: Buckets(rate, clock) for kind, rate in rates.items()}

    def kind(self, method: str, path: str) -> str | None:
        """The class of a route; None for one that is not limited."""
        if path in _DECIDING:
            return DECIDE
        if (path == "/login" and method == "POST") or path.startswith("/oidc/"):
            return LOG_IN
        if path.startswith(OPEN_PAGES):
            return OPEN
        if method in ("GET", "HEAD", "OPTIONS"):
            return None if path in _FREE else READ
        return CHANGE

    def wait(self, kind: str, who: Principal) -> float:
        """Take one for a request; 0.0 when there was one, else the seconds until there is."""
        return self._buckets[kind].take(_name_for(kind, who))

    def give_back(self, kind: str, who: Principal) -> None:
        """Undo the last `wait` of this sender, which gave 0.0: its request is counted elsewhere."""
        self._buckets[kind].give_back(_name_for(kind, who))

    def wait_of_refusal(self, address: str | None) -> float:
        """As `wait`, for a request that is refused: of whom is not certain, so its address counts."""
        return self._buckets[REFUSED].take(network_of(address))


def _rate(per_second: float, seconds: float) -> SenderRate:
    """As many at once as in so many seconds, and one at least: a sender that has asked for nothing may ask."""
    return SenderRate(per_second, max(1.0, seconds * per_second))


def _name_for(kind: str, who: Principal) -> str:
    return network_of(who.address) if kind == OPEN else sender_name(who)


def sender_name(who: Principal) -> str:
    """What a sender's limits go by: its name where that is proven, else its address."""
    return who.name if who.how != "none" else network_of(who.address)


@lru_cache(maxsize=4096)
def network_of(address: str | None) -> str:
    """What one sender has of addresses: an IPv4 address, and of IPv6 a /64. In brackets, unlike names of principals."""
    try:
        found = ip_address((address or "").partition("%")[0])
    except ValueError:
        return f"[{address}]"
    return f"[{ip_network((found, 64), strict=False) if isinstance(found, IPv6Address) else found}]"
