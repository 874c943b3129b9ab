"""Maps on a database: versions are published, compared, approved and loaded, if the rules let them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from brain.kit.database import Tables
from brain.kit.database_threads import for_reading, for_writing
from brain.kit.protocols import EffectGuard, required_guard
from brain.plugins import PluginContext
from brain.slam.map_forms import MapDifference, MapForm
from brain.slam.map_records import MapRecords, MapVersion, image_of, list_maps, list_versions
from brain.slam.tables import make_tables

if TYPE_CHECKING:
    from brain.slam.maps import OccupancyMap

PUBLISH, APPROVE, LOAD = "slam.publish_map", "slam.approve_map", "slam.load_map"
"""The actions that rules may decide on; where none does, they may be done."""


class MapService:
    """All maps. `clock` gives Unix seconds; `close` at the end."""

    def __init__(self, context: PluginContext, clock: Callable[[], float]) -> None:
        self._context = context
        self._database = context.database
        self._tables = Tables(context.database, make_tables)
        self._clock = clock
        self._records = MapRecords(clock)
        self._guard: EffectGuard | None = None

    async def close(self) -> None:
        """Let go of the rules."""
        if self._guard is not None:
            await self._guard.close()

    async def maps(self) -> list[MapVersion]:
        """The newest version of each map. Raises Unavailable."""
        return await for_reading(self._database, self._tables.read, list_maps)

    async def versions(self, map: str) -> list[MapVersion]:
        """Every version of a map. Raises NotFound and Unavailable."""
        return await for_reading(self._database, self._tables.read, lambda db: list_versions(db, map))

    async def image(self, map: str, version: int) -> bytes:
        """The PGM of a version. Raises NotFound and Unavailable."""
        found: tuple[MapForm, bytes] = await for_reading(
            self._database, self._tables.read, lambda db: image_of(db, map, version)
        )
        return found[1]

    async def picture(self, map: str, version: int) -> bytes:
        """A version as a PNG for people. Raises NotFound, MissingExtra and Unavailable."""

        def work() -> bytes:
            from brain.slam.maps import png_of

            return png_of(self._map(map, version))

        return await for_reading(self._database, work)

    async def difference(self, map: str, old: int, new: int) -> MapDifference:
        """What changed from one version to another. Raises NotFound, InvalidInput, MissingExtra and Unavailable."""

        def work() -> MapDifference:
            from brain.slam.maps import difference

            return difference(self._map(map, old), self._map(map, new))

        return await for_reading(self._database, work)

    async def publish(self, map: str, form: MapForm, image: bytes, by: str) -> MapVersion:
        """Keep a version of a map; the same one again is the one that is there.

        Raises InvalidInput, MissingExtra, ActionDenied, ApprovalRequired and Unavailable.
        """
        await self._ask(by, PUBLISH, map, {})

        def work() -> MapVersion:
            from brain.slam.maps import made_map

            made = made_map(form, image)
            height, width = made.cells.shape
            new = MapVersion(
                map=map,
                version=0,
                sha256=made.sha256,
                form=form,
                width=width,
                height=height,
                known_ratio=made.known_ratio,
                published_by=by,
                published_at=self._clock(),
                approved_by=None,
                approved_at=None,
            )
            return self._tables.change(
                lambda db: self._records.publish(db, new, image, lambda *last: _compared(last, made))
            )

        return await for_writing(self._database, work)

    async def approve(self, map: str, version: int, sha256: str | None, by: str) -> MapVersion:
        """Let robots load a version. Raises NotFound, Conflict, ActionDenied, ApprovalRequired and Unavailable."""
        await self._ask(by, APPROVE, map, {"version": version, "sha256": sha256})
        return await for_writing(
            self._database, self._tables.change, lambda db: self._records.approve(db, map, version, sha256, by)
        )

    async def load(self, map: str, version: int | None, robot: str, by: str) -> MapVersion:
        """The version that the robot may load now. Raises Conflict for one that nobody approved, and as `approve`."""
        await self._ask(by, LOAD, map, {"robot": robot, "version": version})
        return await for_writing(
            self._database, self._tables.change, lambda db: self._records.load(db, map, version, robot, by)
        )

    def _map(self, map: str, version: int) -> OccupancyMap:
        from brain.slam.maps import made_map

        form, image = self._tables.read(lambda db: image_of(db, map, version))
        return made_map(form, image, f"map {map}, version {version}")

    async def _ask(self, by: str, action: str, map: str, params: dict[str, Any]) -> None:
        if self._guard is None:
            self._guard = self._context.find(EffectGuard)
        await required_guard(self._guard, action).check_ours(by, action, map, params)


def _compared(last: tuple[MapForm, bytes], made: OccupancyMap) -> MapDifference | None:
    """How a version differs from the one before; None when their cells are not the same places."""
    from brain.slam.maps import comparable, difference, made_map

    old = made_map(*last)
    return difference(old, made) if comparable(old, made) else None
