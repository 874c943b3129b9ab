"""Vision over HTTP, below /api/vision."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from brain import limits
from brain.errors import InvalidInput
from brain.kit.database_threads import for_reading
from brain.kit.doer import doer
from brain.kit.http import creates_nothing, raw_body
from brain.kit.views import list_of, view_of
from brain.vision.boxes import Detection
from brain.vision.http_models import Approval, NewCamera, NewDetections
from brain.vision.models import Model
from brain.vision.records import CameraState
from brain.vision.service import Evidence, VisionService
from brain.vision.settings import NAME

MOST_IMAGE = 4 << 20
_IMAGES = ("image/jpeg", "image/png")

CameraPath = Annotated[str, Path(max_length=64, pattern=NAME, description="The camera's name.", examples=["hall"])]
ModelPath = Annotated[
    str, Path(max_length=64, pattern=NAME, description="The model's name in the settings.", examples=["yard"])
]
ByQuery = Annotated[str, Query(min_length=1, max_length=limits.ID, description="Who does it.")]
AtQuery = Annotated[
    float | None, Query(ge=0, lt=limits.MOMENT, description="When it was made, in Unix seconds; none: now.")
]

StateView: type[BaseModel] = view_of(CameraState, "VisionCamera")
DetectionView: type[BaseModel] = view_of(Detection, "VisionDetection")
ModelView: type[BaseModel] = view_of(Model, "VisionModel")
EvidenceView: type[BaseModel] = view_of(Evidence, "VisionEvidence")
_ONCE = creates_nothing("a picture of the same time counts once")
_LOOKS = creates_nothing("it only looks")
_AGAIN = creates_nothing("the same approval again changes nothing")
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": {"schema": {"type": "string"}}}}}
_IMAGE_BODY = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _IMAGES},
    }
}


def vision_router(service: VisionService) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/vision", tags=["vision"])
    _add_cameras(router, service)
    _add_pictures(router, service)
    _add_models(router, service)
    _add_evidence(router, service)
    return router


def _add_cameras(router: APIRouter, service: VisionService) -> None:
    @router.get("/cameras", summary="List cameras", response_model=list_of(StateView))
    async def cameras() -> Any:
        """Each with its zones, who is in them, and what is wrong with it."""
        return await service.cameras()

    @router.put("/cameras/{camera_id}", summary="Set a camera up", response_model=StateView)
    async def put(camera_id: CameraPath, new: NewCamera) -> Any:
        """Or set it up again, unless a rule on `vision.enable` is against it; perhaps with an approval."""
        return await service.put(new.camera(camera_id), doer(new.by))

    @router.delete("/cameras/{camera_id}", status_code=204, summary="Remove a camera")
    async def remove(camera_id: CameraPath, by: ByQuery = "a person by HTTP") -> None:
        """Unless a rule on `vision.remove` is against it. The robots of its zones are free then."""
        await service.remove(camera_id, doer(by))

    @router.get("/cameras/{camera_id}/tracks", summary="List what is where now", response_model=list_of(DetectionView))
    async def tracks(camera_id: CameraPath) -> Any:
        """As the camera sees it in this moment. Answers 404 when nothing came from it since the server started."""
        return service.tracks(camera_id)


def _add_pictures(router: APIRouter, service: VisionService) -> None:
    @router.post(
        "/cameras/{camera_id}/detections", status_code=204, summary="Say what is in a picture", openapi_extra=_ONCE
    )
    async def detections(camera_id: CameraPath, new: NewDetections) -> None:
        """For devices that look at their pictures themselves (the detector `none`); one call for each picture.

        One that is older than the last is left out.
        """
        await service.post_detections(camera_id, [one.detection() for one in new.detections], new.at)

    @router.post(
        "/cameras/{camera_id}/picture",
        summary="Post a picture of a camera",
        response_model=list_of(DetectionView),
        openapi_extra={**_IMAGE_BODY, **_ONCE, **raw_body(*_IMAGES, most=MOST_IMAGE)},
    )
    async def picture(camera_id: CameraPath, request: Request, at: AtQuery = None) -> Any:
        """A JPEG or PNG that is looked at, and not kept; what was found in it."""
        return await service.post_image(camera_id, await _image(request), at)

    @router.post(
        "/detect",
        summary="Look at one picture",
        response_model=list_of(DetectionView),
        openapi_extra={**_IMAGE_BODY, **_LOOKS, **raw_body(*_IMAGES, most=MOST_IMAGE)},
    )
    async def detect(
        request: Request,
        detector: Annotated[
            str, Query(max_length=64, description="faces, people, or a model of the settings.")
        ] = "faces",
    ) -> Any:
        """What a detector finds in a JPEG or PNG: nothing is kept, and nothing announced."""
        return await service.detect(detector, await _image(request))


def _add_models(router: APIRouter, service: VisionService) -> None:
    @router.get("/models", summary="List models", response_model=list_of(ModelView))
    async def models() -> Any:
        """Those of the settings, with the hash of each file now, and who approved it."""
        return await for_reading(service.database, service.models.list)

    @router.post(
        "/models/{model_id}/approve", summary="Approve a model", response_model=ModelView, openapi_extra=_AGAIN
    )
    async def approve(model_id: ModelPath, new: Approval) -> Any:
        """Cameras may use the file with this hash, unless a rule on `vision.approve_model` is against it.

        Answers 409 when the model's file has another hash now.
        """
        return await service.approve(model_id, new.sha256, doer(new.by))


def _add_evidence(router: APIRouter, service: VisionService) -> None:
    @router.get("/evidence", summary="List blurred pictures", response_model=list_of(EvidenceView))
    async def evidence(
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    ) -> Any:
        """Those that have not expired, the latest first."""
        return await service.evidence(limit)

    @router.get("/evidence/{ref}", summary="Get a blurred picture", response_class=Response, responses=_JPEG)
    async def jpeg(
        ref: Annotated[str, Path(max_length=40, description="Its id.", examples=["ev_3f9a0c51b2d4e6f8"])],
    ) -> Response:
        """Answers 404 once it has expired."""
        headers = {"Cache-Control": "no-store"}
        return Response(await service.jpeg(ref), media_type="image/jpeg", headers=headers)


async def _image(request: Request) -> bytes:
    body = await request.body()
    if not body:
        raise InvalidInput("the body is empty: post a JPEG or PNG")
    return body
