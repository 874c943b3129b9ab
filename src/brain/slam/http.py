"""Slam over HTTP, below /api/slam."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from brain.fields import Moment
from brain.kit.http import creates_nothing
from brain.kit.views import list_of, view_of
from brain.slam.http_maps import add_maps
from brain.slam.localization import MOST_METRES, MOST_RADIANS, MOST_VARIANCE, Pose
from brain.slam.records import RobotPlace, TrackPoint
from brain.slam.service import SlamService
from brain.times import check_not_ahead

RobotPath = Annotated[str, Path(max_length=64, description="The robot's name.", examples=["rover"])]
PlaceView: type[BaseModel] = view_of(RobotPlace, "SlamPlace")
TrackView: type[BaseModel] = view_of(TrackPoint, "SlamTrackPoint")
_Metres = Annotated[float, Field(ge=-MOST_METRES, le=MOST_METRES, allow_inf_nan=False)]
_Radians = Annotated[float, Field(ge=-MOST_RADIANS, le=MOST_RADIANS, allow_inf_nan=False)]
_Variance = Annotated[float, Field(ge=0, le=MOST_VARIANCE, allow_inf_nan=False)]
_ONCE = creates_nothing("a pose of the same time counts once")


class NewPose(BaseModel):
    """Where a robot is, as its localisation says."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"x": 1.2, "y": -0.4, "theta": 0.3, "var_x": 0.03, "var_y": 0.02}]}
    )

    x: _Metres = Field(description="Metres on its map.")
    y: _Metres = Field(description="Metres on its map.")
    theta: _Radians = Field(default=0.0, description="Radians.")
    var_x: _Variance = Field(default=0.0, description="Variance of x in m².")
    var_y: _Variance = Field(default=0.0, description="Variance of y in m².")
    var_theta: _Variance = Field(default=0.0, description="Variance of theta in rad².")
    at: Moment | None = Field(default=None, description="Unix seconds; none: now.")
    map: str | None = Field(default=None, max_length=100, description="The map.")
    map_sha256: str | None = Field(
        default=None, max_length=64, pattern=r"^[0-9a-f]{64}$", description="Its hash, as `load` gave it."
    )


class Zone(BaseModel):
    """A zone of the settings."""

    zone: str
    kind: str
    map: str | None
    most: float = Field(description="Most m/s in it.")
    polygon: list[tuple[float, float]] = Field(description="Its corners, in metres.")


def slam_router(service: SlamService) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/slam", tags=["slam"])
    settings = service.settings

    @router.get("/robots", summary="List where robots are", response_model=list_of(PlaceView))
    async def robots() -> Any:
        """Each with its pose, its variance, the zones that it is in, and why it is lost if it is."""
        return await service.places()

    @router.get("/robots/{robot_id}/track", summary="List where a robot was", response_model=list_of(TrackView))
    async def track(
        robot_id: RobotPath, limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many.")] = 1000
    ) -> Any:
        """One pose a metre or 10 seconds; the latest first."""
        return await service.track(robot_id, limit)

    @router.post(
        "/robots/{robot_id}/pose", summary="Say where a robot is", response_model=PlaceView, openapi_extra=_ONCE
    )
    async def pose(robot_id: RobotPath, new: NewPose) -> Any:
        """What its localisation says, such as AMCL's pose; one that is older than the last is left out.

        One of the future is refused: all that came after it would be older.
        """
        said = new.model_dump(exclude={"map", "map_sha256", "at"})
        now = service.clock()
        at = now if new.at is None else check_not_ahead(new.at, now, "at")
        return await service.note(robot_id, new.map, Pose(**said, at=at), new.map_sha256)

    @router.get("/zones", summary="List zones")
    async def zones() -> list[Zone]:
        """Those of the settings."""
        most = {name: settings.crawl if one.kind == "keepout" else one.most for name, one in settings.zones.items()}
        return [
            Zone(zone=name, kind=one.kind, map=one.map, most=most[name], polygon=list(one.polygon))
            for name, one in settings.zones.items()
        ]

    add_maps(router, service.maps)
    return router
