"""Sightings: evidence that joins the one threat of an attacker, however often it is seen.

A detector reports a Sighting: whom it saw, and how much in one reading (a log file, a batch of events). A threat keeps
the counts of each reading by itself. Reading the same input again replaces its counts by the same; a grown input
replaces them by larger ones; another input adds. So no count depends on how often something was read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from brain import limits
from brain.charter import Severity
from brain.lifecycle import EvidenceMove
from brain.redaction import redacted, redacted_text
from brain.threats.models import (
    EVENTS_NAMED,
    EVIDENCE_EVENTS,
    FIRST_SEEN,
    SEVERITIES,
    Threat,
    moved,
    total_counts,
)

READINGS = 200
"""Readings kept apart in one threat; the oldest beyond are added up under EARLIER, to keep a threat's size bounded."""
EARLIER = "earlier"


@dataclass(frozen=True)
class Sighting:
    """An attacker as seen in one reading.

    `key` names the attacker for this kind of threat, `reading` the input, `counts` the evidence in it. `last_seen` is
    in Unix seconds. `grade` and `describe` are given the sums over all readings. `metadata` overwrites keys of the
    threat's own.
    """

    key: str
    type: str
    source: str
    reading: str
    counts: Mapping[str, int]
    last_seen: float
    grade: Callable[[Mapping[str, int]], Severity]
    describe: Callable[[Mapping[str, int]], str]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def cleaned(sighting: Sighting) -> Sighting:
    """The sighting with the secrets in its texts replaced."""
    describe = sighting.describe
    return replace(
        sighting,
        source=redacted(sighting.source),
        metadata=redacted(dict(sighting.metadata)),
        describe=lambda counts: redacted_text(describe(counts)),
    )


@dataclass(frozen=True)
class Recorded:
    """The result of a sighting: its threat, and whether that is `new`, or else `changed`."""

    threat: Threat
    new: bool
    changed: bool


def threat_id(key: str, episode: int) -> str:
    """The id of an attacker's threat. After a threat is RESOLVED new evidence opens the next episode."""
    digest = hashlib.sha256(f"{episode} {key}".encode()).hexdigest()
    return f"thr_{digest[:16]}"


def positive(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts above 0."""
    return {name: number for name, number in counts.items() if number > 0}


def first_threat(id: str, sighting: Sighting, counts: Mapping[str, int], correlation_id: str, now: float) -> Threat:
    """A new threat from `counts`, the part of the sighting that no earlier episode holds."""
    return Threat(
        id=id,
        type=sighting.type,
        severity=sighting.grade(counts),
        source=sighting.source[: limits.NAME],
        description=sighting.describe(counts)[: limits.TEXT],
        metadata={**sighting.metadata, "evidence": dict(counts)},
        correlation_id=correlation_id,
        detected_at=now,
        last_seen=min(sighting.last_seen, now),
        updated_at=now,
        readings={sighting.reading: dict(counts)},
    )


def joined(threat: Threat, sighting: Sighting, counts: Mapping[str, int], move: EvidenceMove, now: float) -> Threat:
    """The threat with the sighting's counts, in the status that `move` says; the same object when they are no news.

    Severity never falls.
    """
    known = threat.readings.get(sighting.reading, {})
    grown = {name: max(known.get(name, 0), counts.get(name, 0)) for name in {**known, **counts}}
    if grown == known:
        return threat
    readings = _bounded({**threat.readings, sighting.reading: grown})
    totals = total_counts(readings)
    severity = max(threat.severity, sighting.grade(totals), key=SEVERITIES.index)
    status = move.grows if severity is threat.severity else move.worsens
    description = sighting.describe(totals)[: limits.TEXT]
    if status is not threat.status:
        threat = moved(threat, status, f"new evidence: {description}"[: limits.REASON], now)
    else:
        threat = msgspec.structs.replace(threat, version=threat.version + 1, updated_at=max(now, threat.updated_at))
    return msgspec.structs.replace(
        threat,
        severity=severity,
        description=description,
        metadata={**_merged(threat.metadata, sighting.metadata), "evidence": totals},
        last_seen=max(threat.last_seen, min(sighting.last_seen, now)),
        readings=readings,
    )


def _merged(known: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of both; the new wins, but the first evidence stays the first, and named events are kept."""
    merged = {**known, **new}
    seen = [one for one in (known.get(FIRST_SEEN), new.get(FIRST_SEEN)) if isinstance(one, int | float)]
    if seen:
        merged[FIRST_SEEN] = min(seen)
    named = [one for part in (known, new) if isinstance(ids := part.get(EVIDENCE_EVENTS), list) for one in ids]
    if len(named) > EVENTS_NAMED:
        named = [*named[: EVENTS_NAMED // 2], *named[-EVENTS_NAMED // 2 :]]
    return {**merged, EVIDENCE_EVENTS: list(dict.fromkeys(named))} if named else merged


def _bounded(readings: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    surplus = list(readings.items())[: max(0, len(readings) - READINGS)]
    if not surplus:
        return readings
    kept = dict(list(readings.items())[len(surplus) :])
    earlier = Counter(kept.pop(EARLIER, {}))
    for _, counts in surplus:
        earlier.update(counts)
    return {**kept, EARLIER: dict(earlier)}
