"""Maps over HTTP, below /api/slam/maps."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.errors import InvalidInput
from brain.kit.doer import doer
from brain.kit.http import creates_nothing, raw_body
from brain.kit.views import list_of, view_of
from brain.slam.map_forms import MAP_NAME, MapDifference, MapForm
from brain.slam.map_records import MapVersion
from brain.slam.map_service import MapService

MOST_IMAGE = 16 << 20
MOST_VERSIONS = 2**31 - 1
_PGM = "image/x-portable-graymap"
_TAKEN = (_PGM, "application/octet-stream")

MapPath = Annotated[str, Path(max_length=100, pattern=MAP_NAME, description="The map's name.", examples=["hall"])]
VersionPath = Annotated[int, Path(ge=1, le=MOST_VERSIONS, description="The version.", examples=[1])]
VersionQuery = Annotated[int, Query(ge=1, le=MOST_VERSIONS, description="A version.")]
_Metres = Annotated[float, Query(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Share = Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)]

MapView: type[BaseModel] = view_of(MapVersion, "SlamMap")
DifferenceView: type[BaseModel] = view_of(MapDifference, "SlamMapDifference")
_ONCE = creates_nothing("the same map again is the version that is there")
_AGAIN = creates_nothing("the same approval again changes nothing")
_LOADS = creates_nothing("a robot that loads a map again has the same one")
_BODY = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _TAKEN},
    }
}


class MapApproval(BaseModel):
    """Who approves a version, and which one was looked at."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"by": "ann", "sha256": "9f" * 32}]}
    )

    by: str = Field(min_length=1, max_length=limits.ID, description="Who approves it.")
    sha256: str = Field(max_length=64, pattern=r"^[0-9a-f]{64}$", description="Of the version that was looked at.")


class MapLoad(BaseModel):
    """Which robot loads a map."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{"robot": "rover", "by": "rover"}]})

    robot: str = Field(min_length=1, max_length=64, description="The robot.")
    by: str = Field(min_length=1, max_length=limits.ID, description="Who asks for it.")
    version: int | None = Field(
        default=None, ge=1, le=MOST_VERSIONS, description="The version; none: the newest that is approved."
    )


def add_maps(router: APIRouter, maps: MapService) -> None:
    """The routes over these maps."""

    @router.get("/maps", summary="List maps", response_model=list_of(MapView))
    async def list_all() -> Any:
        """The newest version of each."""
        return await maps.maps()

    @router.get("/maps/{map_id}/versions", summary="List versions of a map", response_model=list_of(MapView))
    async def versions(map_id: MapPath) -> Any:
        """The newest first, each with its hash and who approved it."""
        return await maps.versions(map_id)

    @router.post(
        "/maps/{map_id}",
        summary="Publish a map",
        response_model=MapView,
        openapi_extra={**_BODY, **_ONCE, **raw_body(*_TAKEN, most=MOST_IMAGE)},
    )
    async def publish(
        map_id: MapPath,
        request: Request,
        by: Annotated[str, Query(min_length=1, max_length=limits.ID, description="Who publishes it.")],
        resolution: Annotated[
            float, Query(gt=0, le=1e3, allow_inf_nan=False, description="Metres of a cell's side.", examples=[0.05])
        ],
        x: Annotated[_Metres, Query(description="Where its lower left corner is, in metres.")] = 0.0,
        y: Annotated[_Metres, Query(description="Where its lower left corner is, in metres.")] = 0.0,
        yaw: Annotated[float, Query(ge=-7, le=7, allow_inf_nan=False, description="How it is turned, in radians.")] = 0,
        occupied_thresh: Annotated[_Share, Query(description="From this occupancy on a cell is occupied.")] = 0.65,
        free_thresh: Annotated[_Share, Query(description="Up to this occupancy a cell is free.")] = 0.25,
        negate: Annotated[bool, Query(description="Whether white is occupied.")] = False,
        mode: Annotated[Literal["trinary", "scale", "raw"], Query(description="What shades mean.")] = "trinary",
    ) -> Any:
        """Its PGM is the body; the rest is what its YAML file says. Rules may decide (`slam.publish_map`).

        No robot may load it before somebody approves it. The same map again is the version that is there.
        """
        form = MapForm(
            resolution=resolution,
            origin=(x, y, yaw),
            occupied_thresh=occupied_thresh,
            free_thresh=free_thresh,
            negate=negate,
            mode=mode,
        )
        image = await request.body()
        if not image:
            raise InvalidInput("the body is empty: post a PGM")
        return await maps.publish(map_id, form, image, doer(by))

    @router.get("/maps/{map_id}/difference", summary="Compare two versions", response_model=DifferenceView)
    async def difference(map_id: MapPath, old: VersionQuery, new: VersionQuery) -> Any:
        """Answers 422 for versions of another size, resolution or origin."""
        return await maps.difference(map_id, old, new)

    @router.get(
        "/maps/{map_id}/versions/{version}/image",
        summary="Get a map's image",
        response_class=Response,
        responses={200: {"content": {_PGM: {"schema": {"type": "string"}}}}},
    )
    async def image(map_id: MapPath, version: VersionPath) -> Response:
        """The PGM as it was published."""
        return Response(await maps.image(map_id, version), media_type=_PGM)

    @router.get(
        "/maps/{map_id}/versions/{version}/picture",
        summary="Get a picture of a map",
        response_class=Response,
        responses={200: {"content": {"image/png": {"schema": {"type": "string"}}}}},
    )
    async def picture(map_id: MapPath, version: VersionPath) -> Response:
        """A PNG of what its cells mean: white is free, black is occupied, grey is unknown."""
        return Response(await maps.picture(map_id, version), media_type="image/png")

    @router.post(
        "/maps/{map_id}/versions/{version}/approve",
        summary="Approve a map",
        response_model=MapView,
        openapi_extra=_AGAIN,
    )
    async def approve(map_id: MapPath, version: VersionPath, new: MapApproval) -> Any:
        """Robots may load it, unless a rule on `slam.approve_map` is against it. Answers 409 for another hash."""
        return await maps.approve(map_id, version, new.sha256, doer(new.by))

    @router.post("/maps/{map_id}/load", summary="Load a map", response_model=MapView, openapi_extra=_LOADS)
    async def load(map_id: MapPath, new: MapLoad) -> Any:
        """The version that the robot may load, unless a rule on `slam.load_map` is against it.

        Answers 409 for one that nobody approved; its image is at `/versions/{version}/image`.
        """
        return await maps.load(map_id, new.version, new.robot, doer(new.by))
