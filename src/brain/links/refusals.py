"""Refused signatures: counted one by one, announced together.

Anybody can send a delivery with a bad signature. So none of them is a write of its own: those of one address at one
connector are counted in memory, the first is announced at once, and what follows once in `refused_seconds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, update

from brain.charter import Severity
from brain.kit.outbox import put_threat
from brain.kit.protocols import ThreatReport
from brain.links import tables
from brain.links.announce import announce
from brain.links.events import SIGNATURE_REFUSED
from brain.links.models import CONSUMER
from brain.text import one_line

ADDRESSES = 1_000
"""Most addresses that are kept apart at a time; more are counted under `OTHERS`."""
OTHERS = "other addresses"
FORGERY = "webhook_forgery"
"""The type of the threat."""
_READING = 3600.0


@dataclass
class _Tally:
    count: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    reason: str = ""
    told_at: float = float("-inf")
    total: int = 0
    """In this spell, which ends when an address is quiet for a whole window."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """Refused deliveries of one address at one connector, to be announced."""

    connector: str
    remote: str
    count: int
    total: int
    first_at: float
    last_at: float
    reason: str


class RefusalLog:
    """Counts refusals. Used in the event loop alone; times in Unix seconds."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self.counts: dict[str, int] = {}
        """Since the start, by connector."""

    def note(self, connector: str, remote: str, reason: str, now: float) -> None:
        """Count one refusal."""
        self.counts[connector] = self.counts.get(connector, 0) + 1
        key = (connector, remote)
        if key not in self._tallies and len(self._tallies) >= ADDRESSES:
            key = (connector, OTHERS)
        tally = self._tallies.setdefault(key, _Tally())
        if not tally.count:
            tally.first_at = now
        tally.count += 1
        tally.total += 1
        tally.last_at = now
        tally.reason = one_line(reason, 500)

    def due_in(self, now: float) -> float | None:
        """Seconds until something is to be announced; None while there is nothing."""
        waits = [max(0.0, tally.told_at + self._window - now) for tally in self._tallies.values() if tally.count]
        return min(waits, default=None)

    def take(self, now: float, everything: bool = False) -> list[Refusals]:
        """What is to be announced now; it is not given again unless it is put back."""
        found = []
        for (connector, remote), tally in list(self._tallies.items()):
            quiet = now - max(tally.told_at, tally.last_at) >= self._window
            if not tally.count:
                if quiet:
                    del self._tallies[connector, remote]
                continue
            if everything or now - tally.told_at >= self._window:
                found.append(
                    Refusals(connector, remote, tally.count, tally.total, tally.first_at, tally.last_at, tally.reason)
                )
                tally.count, tally.told_at = 0, now
        return found

    def put_back(self, refusals: Refusals) -> None:
        """Count them again: they could not be announced."""
        tally = self._tallies.setdefault((refusals.connector, refusals.remote), _Tally(total=refusals.total))
        tally.first_at = min(refusals.first_at, tally.first_at) if tally.count else refusals.first_at
        tally.count += refusals.count
        tally.last_at = max(tally.last_at, refusals.last_at)
        tally.reason = tally.reason or refusals.reason


def tell(db: Connection, refusals: Refusals, now: float) -> None:
    """Add them to the connector's counter, and put their event."""
    table = tables.connectors
    more = {"refused": table.c.refused + refusals.count}
    db.execute(update(table).where(table.c.name == refusals.connector).values(**more))
    payload: Mapping[str, object] = {
        "connector_id": refusals.connector,
        "remote": refusals.remote,
        "reason": refusals.reason,
        "count": refusals.count,
        "first_at": refusals.first_at,
        "last_at": refusals.last_at,
    }
    announce(db, SIGNATURE_REFUSED, payload, now)


def report_forgery(db: Connection, refusals: Refusals, now: float) -> None:
    """Report a threat from the address. All of an hour is one reading of it."""
    description = (
        f"{refusals.remote} sends deliveries to the connector {refusals.connector} whose signature does not fit"
    )
    reading = f"{refusals.connector} {int(refusals.last_at // _READING)}"
    about = {"connector_id": refusals.connector, "refused": refusals.total, "reason": refusals.reason}
    put_threat(db, CONSUMER, ThreatReport(FORGERY, refusals.remote, Severity.HIGH, description, reading, about), now)
