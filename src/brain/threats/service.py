"""The service: threats from detection to resolution, kept in a store and announced on a stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any, cast

from brain import limits
from brain.charter import Severity, ThreatStatus, current_meta, current_principal
from brain.charter.vocabulary import parse_name
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.idempotency import content_digest, other_content, token_for
from brain.lifecycle import EVIDENCE_MOVES
from brain.redaction import redacted
from brain.store import DocumentChange, Store
from brain.store.memory import MemoryStore
from brain.store.mirror import Restoration
from brain.stream.announcer import Announced, Announcer, EventDraft, announcer_for
from brain.stream.publisher import Publisher, check_publisher
from brain.threats.announce import events_of
from brain.threats.events import STORE_RESTORED, ThreatsRestored
from brain.threats.listing import Filters
from brain.threats.models import Comment, Threat, ThreatStats, assigned, commented, moved
from brain.threats.repository import ThreatRepository
from brain.threats.sightings import Recorded, Sighting, cleaned, first_threat, joined, positive, threat_id

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
        check_publisher(event_stream)
        self.event_stream = event_stream
        self._clock = clock
        self.use_store(store)

    def use_store(self, store: Store | None) -> None:
        """Keep threats in this store from now on; None starts an empty one in memory. Nothing is copied over."""
        self._store = MemoryStore() if store is None else store
        self._restoring = Announced()
        self._threats = ThreatRepository(self._store, self._restoration_event, self._announce_restored)
        self._announcer()  # from now on, so that what ended processes left is shipped without a change here

    async def refresh(self) -> None:
        """Read what other processes changed, and restore what the store has lost since.

        Every other method does so too. A server calls this regularly, so that lost threats do not wait for a request.
        """
        await asyncio.to_thread(self._threats.look)

    @property
    def losses(self) -> int:
        """How often the store came back with fewer threats than this process knew."""
        return self._threats.losses

    def _announcer(self) -> Announcer:
        return announcer_for(self.event_stream, self._store)

    def _restoration_event(self, restoration: Restoration) -> Sequence[DocumentChange]:
        ids = list(restoration.documents)
        payload: ThreatsRestored = {"restored": len(ids), "ids": ids[:_SHOWN]}
        self._restoring = self._announcer().prepare([EventDraft(STORE_RESTORED, payload)])
        return self._restoring.changes

    def _announce_restored(self, _: Restoration) -> None:
        self._announcer().hand_over(self._restoring)

    async def create_threat(
        self,
        type: str,
        source: str,
        severity: Severity | str = Severity.MEDIUM,
        description: str = "",
        metadata: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> Threat:
        """Keep a new threat, OPEN, and announce it as `threat.detected`.

        Its correlation id is the context's (`with brain.correlation(...)`), else its own id. With a `key` the same call
        again gives back the threat that the first one made. Raises InvalidInput listing every fault, Conflict when the
        key made a threat from other content.
        """
        now = self._clock()
        id = f"thr_{token_for('threat', key)}"
        threat = Threat(
            id=id,
            type=type,
            severity=cast(Severity, severity),  # a name becomes one, or a fault beside the others
            source=redacted(source),
            description=redacted(description),
            metadata=redacted(dict(metadata or {})),
            correlation_id=current_meta()["correlation_id"] or id,
            detected_at=now,
            last_seen=now,
            updated_at=now,
        )
        created, announced = await asyncio.to_thread(self._create, threat, key)
        await self._announcer().hand_over_async(announced)
        return created

    async def record_sighting(self, sighting: Sighting) -> Recorded:
        """Join a sighting to the attacker's threat, or make that threat; `threat.updated` or `threat.detected` says so.

        The same sighting again changes nothing. Evidence moves a threat as `brain.lifecycle.EVIDENCE_MOVES` says:
        a MITIGATED one is worked on again, an IGNORED one stays so, and after a RESOLVED one there is a new threat.
        """
        recorded, announced = await asyncio.to_thread(self._record, cleaned(sighting))
        await self._announcer().hand_over_async(announced)
        return recorded

    async def get_threat(self, id: str) -> Threat:
        """The threat. Raises NotFound."""
        return await asyncio.to_thread(self._found, id)

    async def list_threats(
        self,
        status: ThreatStatus | str | Iterable[ThreatStatus | str] | None = None,
        severity: Severity | str | Iterable[Severity | str] | None = None,
        type: str | None = None,
        source: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> list[Threat]:
        """Threats that fit all filters, the latest detected first, at most `limit`.

        With `before` those that come after the threat with that id. Raises InvalidInput, also when there is none.
        """
        statuses = {parse_name(ThreatStatus, value, "status") for value in _several(status)}
        severities = {parse_name(Severity, value, "severity") for value in _several(severity)}
        limits.check_count("limit", limit)
        if (status is not None and not statuses) or (severity is not None and not severities):
            return []
        filters = Filters(sorted(statuses), sorted(severities), type, source)
        return await asyncio.to_thread(self._threats.page, filters, limit, before)

    async def worst_threats(self, limit: int = 10) -> list[Threat]:
        """At most `limit` active threats, the most severe first, among these the latest detected.

        Raises InvalidInput.
        """
        limits.check_count("limit", limit)
        return await asyncio.to_thread(self._threats.worst, limit)

    async def update_threat_status(self, id: str, status: ThreatStatus | str, reason: str = "") -> Threat:
        """Move the threat, and announce the move.

        Raises NotFound, InvalidInput for an unknown status, Conflict (listing the allowed moves) for a move that the
        table does not have.
        """
        new = parse_name(ThreatStatus, status, "status")
        _check_text("reason", reason, 0, REASON_CHARACTERS)
        why, by = redacted(reason), _who()
        return await self._change(id, lambda threat: moved(threat, new, why, self._clock(), by))

    async def assign(self, id: str, assignee: str | None) -> Threat:
        """Give the threat to somebody, None or an empty name to nobody, and announce it as `threat.assigned`.

        Who already has it keeps it, and nothing is announced. Raises NotFound, InvalidInput.
        """
        name = (assignee or "").strip()
        _check_text("assignee", name, 0, limits.ID)
        whose = redacted(name) or None
        return await self._change(id, lambda threat: assigned(threat, whose, self._clock()))

    async def comment(self, id: str, text: str, *, key: str | None = None) -> Threat:
        """Add a comment, by whoever acts (`brain.charter.acting`), and announce it as `threat.commented`.

        With a `key` the same call again adds nothing while the comment is among the last 50. Raises NotFound,
        InvalidInput, and Conflict when the key added another comment.
        """
        _check_text("text", text, 1, limits.NOTE)
        made = f"cmt_{token_for(f'comment on {id}', key)}"
        new = Comment(made, redacted(text), self._clock(), _who())

        def add(threat: Threat) -> Threat:
            known = next((one for one in threat.comments if one.id == made), None)
            if known is None:
                return commented(threat, new)
            if known.text != new.text:
                raise other_content(f"comment {made}")
            return threat

        return await self._change(id, add)

    async def get_stats(self) -> ThreatStats:
        """Counts, the mean time to mitigate, and the ages of the active threats."""
        return await asyncio.to_thread(self._threats.statistics, self._clock())

    def count_open(self) -> Mapping[Severity, int] | None:
        """How many threats of each severity wait to be mitigated; None when there never was a threat. Blocks."""
        return self._threats.count_open()

    def _found(self, id: str) -> Threat:
        found = self._threats.get(id) if id else None
        if found is None:
            raise NotFound(f"no threat has the id {id!r}; `brain threats list` or GET /api/threats shows all")
        return found

    def _write(self, before: Threat | None, after: Threat) -> Announced:
        """Store the change and the events that tell of it, in one write. Raises Conflict when overtaken."""
        announced = self._announcer().prepare(events_of(before, after))
        self._threats.put(after, announced.changes)
        return announced

    def _create(self, new: Threat, key: str | None) -> tuple[Threat, Announced]:
        try:
            return new, self._write(None, new)
        except Conflict:
            if key is None:
                raise
        made = self._found(new.id)
        if _content(made) != _content(new):
            raise other_content(f"threat {made.id}")
        return made, Announced()

    async def _change(self, id: str, change: Callable[[Threat], Threat]) -> Threat:
        """Store what `change` makes of the threat, and announce it; what gives back the same object changes nothing."""
        threat, announced = await asyncio.to_thread(self._changed, id, change)
        await self._announcer().hand_over_async(announced)
        return threat

    def _changed(self, id: str, change: Callable[[Threat], Threat]) -> tuple[Threat, Announced]:
        while True:  # ends: each turn that is overtaken means that another change was made
            threat = self._found(id)
            after = change(threat)
            if after is threat:
                return threat, Announced()
            try:
                return after, self._write(threat, after)
            except Conflict:
                continue

    def _record(self, sighting: Sighting) -> tuple[Recorded, Announced]:
        while True:  # ends, as above
            try:
                return self._record_once(sighting)
            except Conflict:
                continue

    def _record_once(self, sighting: Sighting) -> tuple[Recorded, Announced]:
        counts = positive(sighting.counts)
        over: Threat | None = None
        for episode in count(1):
            id = threat_id(sighting.key, episode)
            threat = self._threats.get(id)
            if threat is None:
                break
            if (move := EVIDENCE_MOVES[threat.status]) is not None:
                after = joined(threat, sighting, counts, move, self._clock())
                if after is threat:
                    return Recorded(threat, new=False, changed=False), Announced()
                return Recorded(after, new=False, changed=True), self._write(threat, after)
            over = threat
            settled = threat.readings.get(sighting.reading, {})
            counts = positive({name: number - settled.get(name, 0) for name, number in counts.items()})
        if over is not None and not counts:
            return Recorded(over, new=False, changed=False), Announced()
        new = first_threat(id, sighting, counts, current_meta()["correlation_id"] or id, self._clock())
        return Recorded(new, new=True, changed=False), self._write(None, new)


def _content(threat: Threat) -> str:
    """What a threat was created with."""
    return content_digest(threat.type, threat.source, threat.severity, threat.description, threat.metadata)


def _who() -> str | None:
    """Whose doing this is, as far as that is known."""
    who = current_principal()
    return None if who is None or who.how == "none" else who.name


def _check_text(name: str, text: str, least: int, most: int) -> None:
    """Raises InvalidInput."""
    if len(text) > most:
        raise InvalidInput(f"{name}: {len(text)} characters are too many; use at most {most}")
    if not limits.is_text(text):
        raise InvalidInput(f"{name}: is no valid text: remove the lone surrogate")
    if least and not text.strip():
        raise InvalidInput(f"{name}: is empty; write {least} to {most} characters")


def _several(value: str | Iterable[str] | None) -> Iterable[str]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value
