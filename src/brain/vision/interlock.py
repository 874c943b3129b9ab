"""How fast a robot may go, as hardware asks: not at all while a person is in its zone, or nobody can see whether."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from brain.kit.database import reachable, reading
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import MotionLimit
from brain.plugins import PluginContext
from brain.typed import ready
from brain.vision.cameras import Camera
from brain.vision.settings import VisionSettings
from brain.vision.tables import CAMERAS, PRESENT


class VisionInterlock:
    """Limits by people in zones, and by cameras that do not see theirs."""

    def __init__(self, context: PluginContext, clock: Callable[[], float] = time.time) -> None:
        self._database = context.database
        self._settings = context.table(VisionSettings)
        self._clock = clock
        self._has_tables = False

    async def limit(self, robot: str) -> MotionLimit | None:
        """0 while somebody is in a zone of the robot, or its camera is blind; else None. Raises Unavailable."""
        reason = await for_tasks(self._database, self._reason, robot)
        return None if reason is None else MotionLimit(0.0, reason)

    def _reason(self, robot: str) -> str | None:
        with reachable(self._database), reading(self._database).begin() as db:
            if not self._knows_cameras(db):
                return None
            row = db.execute(sa.select(PRESENT).where(PRESENT.c.robot == robot).limit(1)).first()
            if row is not None:
                return f"a person is in zone {row.zone} of robot {robot}, as camera {row.camera} sees"
            for row in db.execute(sa.select(CAMERAS)):
                if robot in msgspec.convert(row.spec, ready(Camera)).robots and (why := self._blind(row)):
                    return f"camera {row.camera} does not see the zone of robot {robot}: {why}"
        return None

    def _knows_cameras(self, db: sa.Connection) -> bool:
        """Whether a camera was ever set up. To make the tables would keep a robot waiting."""
        self._has_tables = self._has_tables or sa.inspect(db).has_table(CAMERAS.name)
        return self._has_tables

    def _blind(self, row: sa.Row[tuple[object, ...]]) -> str | None:
        if not row.up:
            return f"it is down ({row.reason})"
        if row.fault is not None:
            return f"its pictures are {row.fault}"
        if self._clock() - row.seen_at > self._settings.silence:
            return "nothing comes from it"
        return None


def motion_interlock(context: PluginContext) -> VisionInterlock:
    """The interlock on these parts."""
    return VisionInterlock(context)
