"""Poses in the database: each changes a robot's state and is announced in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from math import hypot
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.charter import EventType, HealthKind, HealthSeverity
from brain.kit import outbox
from brain.kit.database import reading
from brain.kit.protocols import HealthReport
from brain.kit.sql import insert_missing
from brain.slam.events import LOCALIZATION_LOST, LOCALIZATION_RECOVERED, POSE_UPDATED, ZONE_ENTERED
from brain.slam.localization import Localization, Loss, Pose, at_time, with_pose
from brain.slam.settings import SlamSettings
from brain.slam.tables import ROBOTS, TRACK
from brain.slam.zones import zones_at
from brain.typed import ready

CONSUMER = "slam"
STEP, EVERY = 1.0, 10.0
"""Metres and seconds after which a pose is kept and announced."""
_AHEAD = 1.0
"""Seconds that a robot's clock may be ahead: what it said with a clock further ahead gives way to what comes later."""


class RobotPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A robot now."""

    robot: Annotated[str, Meta(description="The robot.")]
    map: Annotated[str | None, Meta(description="The map that its pose is on.")]
    pose: Pose
    loss: Annotated[Loss | None, Meta(description="Why it is lost; null: it knows where it is.")]
    zones: Annotated[list[str], Meta(description="The zones that it is in.")]


class TrackPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a robot was."""

    at: Annotated[float, Meta(description="Unix seconds.")]
    x: float
    y: float
    theta: float


class SlamRecords:
    """The state of all robots. Every method runs in the caller's transaction. `clock` gives Unix seconds."""

    def __init__(self, settings: SlamSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock

    def note(self, db: sa.Connection, robot: str, map: str | None, pose: Pose) -> RobotPlace:
        """A robot said where it is; one that is older than the last is left out, unless that was of the future."""
        row = db.execute(sa.select(ROBOTS).where(ROBOTS.c.robot == robot).with_for_update()).first()
        known = _localization(row)
        now = self._clock()
        if row is not None and known.pose is not None and pose.at <= known.pose.at <= now + _AHEAD:
            return _place(row)
        new = with_pose(known, pose, self._settings)
        before: list[str] = [] if row is None else row.zones
        zones = zones_at(pose.x, pose.y, map, self._settings.zones)
        announced = None if row is None or row.announced is None else msgspec.convert(row.announced, ready(Pose))
        if announced is None or _far(announced, pose):
            self._keep(db, robot, map, pose)
            announced = pose
        self._announce_loss(db, robot, map, known, new)
        for name in (name for name in zones if name not in before):
            self._announce_zone(db, robot, name, pose)
        values = _values(map, new, zones, announced) | {"heard_at": now}
        if row is None:
            db.execute(sa.insert(ROBOTS), {"robot": robot} | values)
        else:
            db.execute(sa.update(ROBOTS).where(ROBOTS.c.robot == robot).values(values))
        return RobotPlace(robot=robot, map=map, pose=pose, loss=new.loss, zones=zones)

    def is_due(self, db: sa.Connection) -> bool:
        """Whether one has been silent for too long since the last look: only reads."""
        now = self._clock()
        known = map(_localization, db.execute(sa.select(ROBOTS)))
        return any(at_time(one, now, self._settings) is not one for one in known)

    def look(self, db: sa.Connection) -> None:
        """Those that have been silent for too long are lost."""
        now = self._clock()
        for row in db.execute(sa.select(ROBOTS).with_for_update()).all():
            known = _localization(row)
            new = at_time(known, now, self._settings)
            if new is not known:
                self._announce_loss(db, row.robot, row.map, known, new)
                values = {"loss": msgspec.to_builtins(new.loss), "good": 0}
                db.execute(sa.update(ROBOTS).where(ROBOTS.c.robot == row.robot).values(values))

    def _keep(self, db: sa.Connection, robot: str, map: str | None, pose: Pose) -> None:
        insert_missing(db, TRACK, [{"robot": robot, "at": pose.at, "x": pose.x, "y": pose.y, "theta": pose.theta}])
        said = {"robot_id": robot, "map_id": map, **msgspec.to_builtins(pose)}
        said.pop("at")
        self._put(db, POSE_UPDATED, said)

    def _announce_loss(
        self, db: sa.Connection, robot: str, map: str | None, known: Localization, new: Localization
    ) -> None:
        if (known.loss is None) == (new.loss is None):
            return
        subject = {"robot_id": robot, "map_id": map}
        if new.loss is None and known.loss is not None and new.pose is not None:
            seconds = new.pose.at - known.loss.at
            self._put(db, LOCALIZATION_RECOVERED, {**subject, "reason": known.loss.reason, "seconds": seconds})
            return
        loss, last = new.loss, known.pose or new.pose
        if loss is None or last is None:
            return
        said = {"reason": loss.reason, "value": loss.value, "limit": loss.limit, "last_pose": _short(last)}
        self._put(db, LOCALIZATION_LOST, subject | said)
        words = f"robot {robot} does not know where it is: {loss.reason} {loss.value:.2f}, limit {loss.limit:g}"
        report = HealthReport(HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE, CONSUMER, words, subject)
        outbox.put_health(db, CONSUMER, report, self._clock(), key=f"slam {robot} lost {loss.at}")

    def _announce_zone(self, db: sa.Connection, robot: str, name: str, pose: Pose) -> None:
        kind = self._settings.zones[name].kind
        self._put(db, ZONE_ENTERED, {"robot_id": robot, "zone_id": name, "kind": kind, "pose": _short(pose)})
        if kind == "keepout":
            words = f"robot {robot} is in the keep-out zone {name}"
            details = {"robot_id": robot, "zone_id": name}
            report = HealthReport(HealthSeverity.CRITICAL, HealthKind.POLICY_VIOLATION, CONSUMER, words, details)
            outbox.put_health(db, CONSUMER, report, self._clock(), key=f"slam {robot} in {name} {pose.at}")

    def _put(self, db: sa.Connection, event: EventType[Any], payload: dict[str, Any]) -> None:
        outbox.put_event(db, CONSUMER, event.event(payload), self._clock())


def list_places(db: sa.Connection) -> list[RobotPlace]:
    """Every robot, by name."""
    return [_place(row) for row in db.execute(sa.select(ROBOTS).order_by(ROBOTS.c.robot))]


def find_place(database: sa.Engine, robot: str) -> RobotPlace | None:
    """One robot; None when it never said where it is. Blocks."""
    with reading(database).begin() as db:
        row = db.execute(sa.select(ROBOTS).where(ROBOTS.c.robot == robot)).first()
    return None if row is None else _place(row)


def track(db: sa.Connection, robot: str, limit: int) -> list[TrackPoint]:
    """The last places of a robot, the latest first."""
    query = sa.select(TRACK).where(TRACK.c.robot == robot).order_by(TRACK.c.at.desc()).limit(limit)
    return [TrackPoint(at=row.at, x=row.x, y=row.y, theta=row.theta) for row in db.execute(query)]


def _far(before: Pose, pose: Pose) -> bool:
    return hypot(pose.x - before.x, pose.y - before.y) >= STEP or pose.at - before.at >= EVERY


def _short(pose: Pose) -> dict[str, float]:
    return {"x": pose.x, "y": pose.y, "theta": pose.theta}


def _localization(row: Any) -> Localization:
    if row is None:
        return Localization()
    loss = None if row.loss is None else msgspec.convert(row.loss, ready(Loss))
    return Localization(pose=msgspec.convert(row.pose, ready(Pose)), loss=loss, good=row.good, heard_at=row.heard_at)


def _place(row: Any) -> RobotPlace:
    known = _localization(row)
    pose = msgspec.convert(row.pose, ready(Pose))
    return RobotPlace(robot=row.robot, map=row.map, pose=pose, loss=known.loss, zones=list(row.zones))


def _values(map: str | None, new: Localization, zones: list[str], announced: Pose) -> dict[str, Any]:
    return {
        "map": map,
        "pose": msgspec.to_builtins(new.pose),
        "loss": sa.null() if new.loss is None else msgspec.to_builtins(new.loss),
        "good": new.good,
        "zones": zones,
        "announced": msgspec.to_builtins(announced),
    }
