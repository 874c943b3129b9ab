"""The service: threats from detection to resolution, kept in a store and announced on a stream."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import count, islice
from typing import Any, cast

from brain import limits
from brain.charter import Severity, ThreatStatus, current_meta
from brain.charter.vocabulary import parse_name
from brain.errors import Conflict, InvalidInput, NotFound
from brain.store import Store
from brain.store.memory import MemoryStore
from brain.store.mirror import Restoration
from brain.stream.publisher import Publisher, emit
from brain.threats.announce import announce_detected, announce_move
from brain.threats.events import STORE_RESTORED
from brain.threats.models import Threat, ThreatStats, moved, statistics
from brain.threats.repository import ThreatRepository
from brain.threats.sightings import Recorded, Sighting, first_threat, joined, positive, threat_id

REASON_CHARACTERS = limits.REASON
_SHOWN = 100  # ids in the event of a restoration


class ThreatService:
    """Creates, moves, lists and counts threats.

    Without a store they live in memory. Without a stream nothing is announced, and all else works. `clock` gives Unix
    seconds. Every method raises Unavailable when the store does not answer.
    """

    def __init__(
        self,
        event_stream: Publisher | None = None,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.event_stream = event_stream
        self._clock = clock
        self.use_store(store)

    def use_store(self, store: Store | None) -> None:
        """Keep threats in this store from now on; None starts an empty one in memory. Nothing is copied over."""
        self._threats = ThreatRepository(MemoryStore() if store is None else store, self._announce_restored)

    async def refresh(self) -> None:
        """Read what other processes changed, and restore what the store has lost since.

        Every other method does so too. A server calls this regularly, so that lost threats do not wait for a request.
        """
        await asyncio.to_thread(self._threats.look)

    @property
    def losses(self) -> int:
        """How often the store came back with fewer threats than this process knew."""
        return self._threats.losses

    def _announce_restored(self, restoration: Restoration) -> None:
        ids = list(restoration.documents)
        emit(self.event_stream, STORE_RESTORED, {"restored": len(ids), "ids": ids[:_SHOWN]})

    async def create_threat(
        self,
        type: str,
        source: str,
        severity: Severity | str = Severity.MEDIUM,
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Threat:
        """Keep a new threat, OPEN, and announce it as `threat.detected`.

        Its correlation id is the context's (`with brain.correlation(...)`), else its own id.
        Raises InvalidInput listing every fault.
        """
        now = self._clock()
        id = f"thr_{secrets.token_hex(8)}"
        threat = Threat(
            id=id,
            type=type,
            severity=cast(Severity, severity),  # a name becomes one, or a fault beside the others
            source=source,
            description=description,
            metadata=dict(metadata or {}),
            correlation_id=current_meta()["correlation_id"] or id,
            detected_at=now,
            last_seen=now,
            updated_at=now,
        )
        await asyncio.to_thread(self._threats.put, threat, 0)
        await announce_detected(self.event_stream, threat)
        return threat

    async def record_sighting(self, sighting: Sighting) -> Recorded:
        """Join a sighting to the attacker's threat, or make that threat and announce it as `threat.detected`.

        The same sighting again changes nothing. An IGNORED threat stays so; evidence beyond that of a RESOLVED one
        opens a new threat.
        """
        recorded = await asyncio.to_thread(self._record, sighting)
        if recorded.new:
            await announce_detected(self.event_stream, recorded.threat)
        return recorded

    async def get_threat(self, id: str) -> Threat:
        """The threat. Raises NotFound."""
        return (await asyncio.to_thread(self._found, id))[0]

    async def list_threats(
        self,
        status: ThreatStatus | str | Iterable[ThreatStatus | str] | None = None,
        severity: Severity | str | Iterable[Severity | str] | None = None,
        type: str | None = None,
        source: str | None = None,
        limit: int = 100,
    ) -> list[Threat]:
        """Threats that fit all filters, the latest detected first, at most `limit`. Raises InvalidInput."""
        statuses = {parse_name(ThreatStatus, value, "status") for value in _several(status)}
        severities = {parse_name(Severity, value, "severity") for value in _several(severity)}
        if limit < 1:
            raise InvalidInput(f"limit: {limit} is too small; use 1 or more")
        fitting = (
            threat
            for threat in await asyncio.to_thread(self._threats.all)
            if (status is None or threat.status in statuses)
            and (severity is None or threat.severity in severities)
            and type in (None, threat.type)
            and source in (None, threat.source)
        )
        return list(islice(fitting, limit))

    async def update_threat_status(self, id: str, status: ThreatStatus | str, reason: str = "") -> Threat:
        """Move the threat, and announce the move.

        Raises NotFound, InvalidInput for an unknown status, Conflict (listing the allowed moves) for a move that the
        table does not have.
        """
        new = parse_name(ThreatStatus, status, "status")
        if len(reason) > REASON_CHARACTERS:
            raise InvalidInput(f"reason: {len(reason)} characters are too many; use at most {REASON_CHARACTERS}")
        if not limits.is_text(reason):
            raise InvalidInput("reason: is no valid text: remove the lone surrogate")
        threat = await asyncio.to_thread(self._move, id, new, reason)
        await announce_move(self.event_stream, threat)
        return threat

    async def get_stats(self) -> ThreatStats:
        """Counts, the mean time to mitigate, and the ages of the active threats."""
        return statistics(await asyncio.to_thread(self._threats.all), self._clock())

    def count_open(self) -> Mapping[Severity, int] | None:
        """How many threats of each severity wait to be mitigated; None when there never was a threat. Blocks."""
        threats = self._threats.all()
        return Counter(threat.severity for threat in threats if threat.active) if threats else None

    def _found(self, id: str) -> tuple[Threat, int]:
        found = self._threats.get(id) if id else None
        if found is None:
            raise NotFound(f"no threat has the id {id!r}; `brain threats list` or GET /api/threats shows all")
        return found

    def _move(self, id: str, new: ThreatStatus, reason: str) -> Threat:
        while True:  # ends: each turn that is overtaken means that another move was made
            threat, version = self._found(id)
            after = moved(threat, new, reason, self._clock())
            try:
                self._threats.put(after, version)
            except Conflict:
                continue
            return after

    def _record(self, sighting: Sighting) -> Recorded:
        while True:  # ends, as above
            try:
                return self._record_once(sighting)
            except Conflict:
                continue

    def _record_once(self, sighting: Sighting) -> Recorded:
        counts = positive(sighting.counts)
        resolved: Threat | None = None
        for episode in count(1):
            id = threat_id(sighting.key, episode)
            found = self._threats.get(id)
            if found is None:
                break
            threat, version = found
            if threat.status is not ThreatStatus.RESOLVED:
                after = joined(threat, sighting, counts, self._clock())
                if after is not threat:
                    self._threats.put(after, version)
                return Recorded(after, new=False, changed=after is not threat)
            resolved = threat
            settled = threat.readings.get(sighting.reading, {})
            counts = positive({name: number - settled.get(name, 0) for name, number in counts.items()})
        if resolved is not None and not counts:
            return Recorded(resolved, new=False, changed=False)
        new = first_threat(id, sighting, counts, current_meta()["correlation_id"] or id, self._clock())
        self._threats.put(new, 0)
        return Recorded(new, new=True, changed=False)


def _several(value: str | Iterable[str] | None) -> Iterable[str]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value
