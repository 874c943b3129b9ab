"""Cameras in the database: each change of one and the event that announces it are one transaction."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.charter import EventType, HealthKind, HealthSeverity, Severity
from brain.errors import NotFound
from brain.kit import outbox
from brain.kit.protocols import HealthReport, ThreatReport
from brain.typed import ready
from brain.vision import events
from brain.vision.cameras import Camera
from brain.vision.scene import Presence
from brain.vision.settings import VisionSettings
from brain.vision.tables import CAMERAS, EVIDENCE, PRESENT
from brain.vision.watching import Seen

CONSUMER = "vision"
PERSON_IN_ZONE = "person_in_robot_zone"
"""The type of the threat."""
MOST_CROSSINGS = 100
"""Lines that are announced for one picture."""


class CameraState(msgspec.Struct, frozen=True, kw_only=True):
    """A camera, and how it is."""

    camera: Camera
    up: Annotated[bool, Meta(description="Whether anything comes from it.")]
    reason: Annotated[str, Meta(description="Why it is down; empty when it is up.")]
    fault: Annotated[str | None, Meta(description="frozen, dark, blurred or moved; null: its pictures are right.")]
    seen_at: Annotated[float, Meta(description="When anything came last, in Unix seconds; 0: never.")]
    present: Annotated[dict[str, int], Meta(description="By zone: how many are in it now.")]
    summary: Annotated[dict[str, Any], Meta(description="The last `vision.summary`; empty: none yet.")]


class VisionRecords:
    """The state of all cameras. Every method runs in the caller's transaction. `clock` gives Unix seconds."""

    def __init__(self, settings: VisionSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock

    # cameras

    def put(self, db: sa.Connection, camera: Camera) -> None:
        """Set a camera up, or again: it is down until its pictures come."""
        row = db.execute(sa.select(CAMERAS.c.up).where(CAMERAS.c.camera == camera.camera).with_for_update()).first()
        if row is None:
            values = {"camera": camera.camera, "seen_at": 0.0, "summary": {}}
            db.execute(sa.insert(CAMERAS), values | _new(camera))
            return
        self.down(db, camera.camera, "it was set up again")
        db.execute(sa.update(CAMERAS).where(CAMERAS.c.camera == camera.camera).values(_new(camera)))

    def remove(self, db: sa.Connection, name: str) -> None:
        """Forget a camera; what was in its zones has left them. Raises NotFound."""
        self.down(db, name, "it was removed")
        if not db.execute(sa.delete(CAMERAS).where(CAMERAS.c.camera == name)).rowcount:
            raise NotFound(f"no camera has the name {name[:100]!r}; `brain vision cameras list` lists them")

    # pictures

    def saw(self, db: sa.Connection, camera: Camera, seen: Seen, evidence: bytes | None) -> bool:
        """What one picture brought; False when the camera was removed, set up again or down: it must begin again."""
        name, now = camera.camera, self._clock()
        row = db.execute(sa.select(CAMERAS).where(CAMERAS.c.camera == name).with_for_update()).first()
        if row is None or msgspec.convert(row.spec, ready(Camera)) != camera:
            return False
        if seen.step is not None and not seen.starts and not row.up:
            return False
        values: dict[str, Any] = {"seen_at": now}
        if seen.starts:
            self._empty(db, name)
            self._put(db, events.CAMERA_UP, {"camera_id": name, "detector": camera.detector, "reason": ""})
            values |= {"up": True, "reason": "", "fault": None}
        if seen.over is not None:
            payload = {"camera_id": name, "kind": seen.over.kind, "score": seen.over.score}
            self._put(db, events.CAMERA_RECOVERED, payload)
            values |= {"fault": None}
        if seen.fault is not None:
            payload = {"camera_id": name, "kind": seen.fault.kind, "score": seen.fault.score}
            self._put(db, events.CAMERA_DEGRADED, payload)
            self._report(db, f"camera {name} shows {seen.fault.kind} pictures", payload)
            values |= {"fault": seen.fault.kind}
        if seen.step is not None:
            self._step(db, camera, seen, evidence)
        if seen.summary is not None:
            self._put(db, events.SUMMARY, seen.summary)
            values |= {"summary": seen.summary}
        db.execute(sa.update(CAMERAS).where(CAMERAS.c.camera == name).values(values))
        return True

    def down(self, db: sa.Connection, name: str, reason: str, summary: dict[str, Any] | None = None) -> None:
        """Nothing comes from the camera: what was in its zones has left them. Once."""
        row = db.execute(sa.select(CAMERAS).where(CAMERAS.c.camera == name).with_for_update()).first()
        if row is None:
            return
        if summary is not None:
            self._put(db, events.SUMMARY, summary)
        self._empty(db, name)
        reason = reason[:500]
        if row.up:
            payload = {"camera_id": name, "detector": row.spec["detector"], "reason": reason}
            self._put(db, events.CAMERA_DOWN, payload)
            self._report(db, f"camera {name} is down: {reason}", {"camera_id": name, "reason": reason})
        if row.up or row.reason != reason:
            values = {"up": False, "reason": reason, "fault": None}
            db.execute(sa.update(CAMERAS).where(CAMERAS.c.camera == name).values(values))

    def silent(self, db: sa.Connection) -> list[str]:
        """The cameras that are up, and from which nothing came for too long: only reads."""
        before = self._clock() - self._settings.silence
        query = sa.select(CAMERAS.c.camera).where(CAMERAS.c.up, CAMERAS.c.seen_at < before)
        return list(db.execute(query).scalars())

    def expire(self, db: sa.Connection) -> int:
        """Delete the pictures that have expired; how many."""
        return db.execute(sa.delete(EVIDENCE).where(EVIDENCE.c.expires_at <= self._clock())).rowcount

    def _step(self, db: sa.Connection, camera: Camera, seen: Seen, evidence: bytes | None) -> None:
        step, name = seen.step, camera.camera
        assert step is not None
        for one, last in step.left:
            mine = (PRESENT.c.camera == name, PRESENT.c.zone == one.zone, PRESENT.c.track == one.track)
            db.execute(sa.delete(PRESENT).where(*mine))
            self._put(db, events.OBJECT_LEFT, _thing(name, one) | {"seconds": round(last - one.since, 3)})
        for one in step.entered:
            self._enter(db, camera, one, seen.at, evidence)
        for one in step.dwelled:
            self._put(db, events.DWELLED, _thing(name, one) | {"seconds": round(seen.at - one.since, 3)})
        for crossing in step.crossed[:MOST_CROSSINGS]:
            payload = {"camera_id": name, "line_id": crossing.line, "label": crossing.label}
            more = {"track_id": crossing.track, "direction": crossing.direction}
            self._put(db, events.LINE_CROSSED, payload | more)

    def _enter(self, db: sa.Connection, camera: Camera, one: Presence, at: float, evidence: bytes | None) -> None:
        name, robot = camera.camera, next(zone.robot for zone in camera.zones if zone.zone == one.zone)
        robot = robot if one.label in self._settings.people else None
        row = {"camera": name, "zone": one.zone, "track": one.track, "label": one.label, "since": one.since}
        db.execute(sa.insert(PRESENT), row | {"robot": robot})
        found = {"confidence": round(one.confidence, 4), "box": one.box.rounded()}
        self._put(db, events.OBJECT_ENTERED, _thing(name, one) | found)
        if robot is None:
            return
        payload = {"camera_id": name, "zone_id": one.zone, "track_id": one.track, "robot_id": robot}
        self._put(db, events.PERSON_IN_ZONE, payload)
        words = f"a person is in zone {one.zone} of robot {robot}, as camera {name} sees"
        health = HealthReport(HealthSeverity.CRITICAL, HealthKind.POLICY_VIOLATION, CONSUMER, words, payload)
        outbox.put_health(db, CONSUMER, health, self._clock())
        reading = f"track {one.track} since {one.since:.3f}"
        threat = ThreatReport(PERSON_IN_ZONE, f"{name}/{one.zone}", Severity.HIGH, words, reading, payload)
        outbox.put_threat(db, CONSUMER, threat, self._clock())
        if evidence is not None:
            self._keep(db, name, one.zone, at, evidence)

    def _keep(self, db: sa.Connection, name: str, zone: str, at: float, jpeg: bytes) -> None:
        ref, sha256 = f"ev_{secrets.token_hex(8)}", hashlib.sha256(jpeg).hexdigest()
        expires_at = self._clock() + self._settings.evidence_hours * 3600
        row = {"ref": ref, "camera": name, "zone": zone, "at": at, "expires_at": expires_at, "sha256": sha256}
        db.execute(sa.insert(EVIDENCE), row | {"jpeg": jpeg})
        payload = {"camera_id": name, "ref": ref, "sha256": sha256, "bytes": len(jpeg), "blurred": True}
        self._put(db, events.EVIDENCE_SAVED, payload | {"expires_at": expires_at})

    def _empty(self, db: sa.Connection, name: str) -> None:
        """Nothing is known of who is in the zones of a camera that was down."""
        mine = PRESENT.c.camera == name
        for row in db.execute(sa.select(PRESENT).where(mine).order_by(PRESENT.c.zone, PRESENT.c.track)).all():
            payload = {"camera_id": name, "zone_id": row.zone, "label": row.label, "track_id": row.track}
            self._put(db, events.OBJECT_LEFT, payload | {"seconds": round(max(self._clock() - row.since, 0.0), 3)})
        db.execute(sa.delete(PRESENT).where(mine))

    def _report(self, db: sa.Connection, words: str, details: dict[str, Any]) -> None:
        report = HealthReport(HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE, CONSUMER, words, details)
        outbox.put_health(db, CONSUMER, report, self._clock())

    def _put(self, db: sa.Connection, event: EventType[Any], payload: dict[str, Any]) -> None:
        outbox.put_event(db, CONSUMER, event.event(payload), self._clock())


def list_cameras(db: sa.Connection) -> list[CameraState]:
    """Every camera, by name."""
    counted = sa.select(PRESENT.c.camera, PRESENT.c.zone, sa.func.count()).group_by(PRESENT.c.camera, PRESENT.c.zone)
    present: dict[str, dict[str, int]] = {}
    for camera, zone, count in db.execute(counted):
        present.setdefault(camera, {})[zone] = count
    return [_state(row, present.get(row.camera, {})) for row in db.execute(sa.select(CAMERAS).order_by("camera"))]


def find_camera(db: sa.Connection, name: str) -> Camera:
    """One camera as it is set up. Raises NotFound."""
    spec = db.execute(sa.select(CAMERAS.c.spec).where(CAMERAS.c.camera == name)).scalar()
    if spec is None:
        raise NotFound(f"no camera has the name {name[:100]!r}; `brain vision cameras list` lists them")
    return msgspec.convert(spec, ready(Camera))


def _state(row: Any, present: dict[str, int]) -> CameraState:
    camera = msgspec.convert(row.spec, ready(Camera))
    zones = {zone.zone: present.get(zone.zone, 0) for zone in camera.zones}
    return CameraState(
        camera=camera,
        up=row.up,
        reason=row.reason,
        fault=row.fault,
        seen_at=row.seen_at,
        present=zones,
        summary=row.summary,
    )


def _new(camera: Camera) -> dict[str, Any]:
    return {"spec": msgspec.to_builtins(camera), "up": False, "reason": "nothing came yet", "fault": None}


def _thing(camera: str, one: Presence) -> dict[str, Any]:
    return {"camera_id": camera, "zone_id": one.zone, "label": one.label, "track_id": one.track}
