"""Poses that come over links, as the bridge to ROS hands them over: each counts as one that was posted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from brain.errors import InvalidInput
from brain.kit.database import reachable
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import PoseReport, PoseTopic
from brain.plugins import PluginContext
from brain.slam.localization import MOST_METRES, MOST_RADIANS, MOST_VARIANCE, Pose
from brain.slam.records import SlamRecords
from brain.slam.settings import SlamSettings
from brain.slam.tables import make_tables


class LinkedPoses:
    """The robots of the settings, by what they say on topics. `clock` gives Unix seconds."""

    def __init__(self, context: PluginContext, clock: Callable[[], float] = time.time) -> None:
        self._settings = context.table(SlamSettings)
        self._database = context.database
        self._records = SlamRecords(self._settings, clock)

    def topics(self) -> Sequence[PoseTopic]:
        """Those of the settings."""
        return [
            PoseTopic(robot, one.link, one.topic, one.type, one.most_hz, one.frame, one.child)
            for robot, one in self._settings.robots.items()
        ]

    async def take(self, robot: str, pose: PoseReport) -> None:
        """Keep it. Raises InvalidInput for a pose beyond what one that is posted may have, and Unavailable."""
        _check(pose)
        await for_tasks(self._database, self._note, robot, Pose(**asdict(pose)))

    def _note(self, robot: str, pose: Pose) -> None:
        make_tables(self._database)
        with reachable(self._database), self._database.begin() as db:
            self._records.note(db, robot, self._settings.robots[robot].map, pose)


def _check(pose: PoseReport) -> None:
    for name in ("x", "y"):
        if not abs(getattr(pose, name)) <= MOST_METRES:
            raise InvalidInput(f"{name} is not within {MOST_METRES:g} m")
    if not abs(pose.theta) <= MOST_RADIANS:
        raise InvalidInput(f"theta is not within {MOST_RADIANS:g} rad")
    for name in ("var_x", "var_y", "var_theta"):
        if not 0 <= getattr(pose, name) <= MOST_VARIANCE:
            raise InvalidInput(f"{name} is not from 0 to {MOST_VARIANCE:g}")


def robot_poses(context: PluginContext) -> LinkedPoses:
    """What follows robots on these parts."""
    return LinkedPoses(context)
