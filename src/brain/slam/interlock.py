"""How fast a robot may go, as hardware asks before each movement: a lost one crawls, one in a speed zone is slow."""

from __future__ import annotations

import sqlalchemy as sa

from brain.kit.database import reachable
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import MotionLimit
from brain.plugins import PluginContext
from brain.slam.records import RobotPlace, find_place
from brain.slam.settings import SlamSettings
from brain.slam.tables import ROBOTS


class SlamInterlock:
    """Limits by localisation and zones."""

    def __init__(self, context: PluginContext) -> None:
        self._database = context.database
        self._settings = context.table(SlamSettings)
        self._has_tables = False

    async def limit(self, robot: str) -> MotionLimit | None:
        """The least that holds; None for a robot without one. Raises Unavailable.

        One that never said where it is has none, unless the settings name the topic where it should.
        """
        place = await for_tasks(self._database, self._find, robot)
        if place is None:
            named = self._settings.robots.get(robot)
            words = "" if named is None else f"robot {robot} never said where it is on {named.topic} of {named.link}"
            return MotionLimit(self._settings.crawl, words) if named is not None else None
        limits = []
        if place.loss is not None:
            words = f"robot {robot} does not know where it is ({place.loss.reason})"
            limits.append(MotionLimit(self._settings.crawl, words))
        for name in place.zones:
            zone = self._settings.zones.get(name)
            if zone is not None:
                most = self._settings.crawl if zone.kind == "keepout" else zone.most
                limits.append(MotionLimit(most, f"robot {robot} is in the {zone.kind} zone {name}"))
        return min(limits, key=lambda limit: limit.most, default=None)

    def _find(self, robot: str) -> RobotPlace | None:
        with reachable(self._database):
            # Where no robot ever said where it is; to make the tables would keep this one waiting.
            self._has_tables = self._has_tables or sa.inspect(self._database).has_table(ROBOTS.name)
            return find_place(self._database, robot) if self._has_tables else None


def motion_interlock(context: PluginContext) -> SlamInterlock:
    """The interlock on these parts."""
    return SlamInterlock(context)
