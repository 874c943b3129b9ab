"""Vision on a database: cameras are set up, pictures and detections come in, what is asked of them goes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from brain.errors import InvalidInput, NotFound
from brain.kit.database import OUTAGE, Tables
from brain.kit.database_threads import for_reading, for_tasks, for_writing
from brain.kit.outbox import EventShipping
from brain.kit.protocols import EffectGuard, required_guard
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.plugins import PluginContext
from brain.stream.threads import run_alone
from brain.vision.boxes import Detection
from brain.vision.cameras import BUILT_IN, NO_DETECTOR, Camera, check_camera
from brain.vision.live import LiveCamera
from brain.vision.models import Model, Models
from brain.vision.records import CONSUMER, CameraState, VisionRecords, find_camera, list_cameras
from brain.vision.settings import VisionSettings
from brain.vision.tables import EVIDENCE, make_tables
from brain.vision.watching import Seen

if TYPE_CHECKING:
    from brain.vision.detectors import Detector

log: Log = Log("brain.vision")

ENABLE, APPROVE, REMOVE = "vision.enable", "vision.approve_model", "vision.remove"
"""The actions that rules may decide on; where none does, they may be done."""
LOOK, IDLE = 1.0, 2.0
"""Seconds between two looks at cameras that fell silent; while nothing comes from any camera here."""
AHEAD = 60.0
"""Seconds that the time of a picture may be ahead of the clock here."""
AT_ONCE = 4
"""Posted pictures that are looked at at the same time."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A blurred picture that is kept for a while."""

    ref: Annotated[str, Meta(description="Its id.")]
    camera: Annotated[str, Meta(description="The camera.")]
    zone: Annotated[str, Meta(description="The zone that a person was in.")]
    at: Annotated[float, Meta(description="Of the picture, in Unix seconds.")]
    expires_at: Annotated[float, Meta(description="When it is deleted, in Unix seconds.")]
    sha256: Annotated[str, Meta(description="Of the JPEG.")]


class VisionService:
    """All cameras. `clock` gives Unix seconds; `close` at the end."""

    def __init__(self, context: PluginContext, clock: Callable[[], float] = time.time) -> None:
        self.settings: VisionSettings = context.table(VisionSettings)
        self.database: sa.Engine = context.database
        self._tables = Tables(context.database, make_tables)
        self.clock = clock
        self.models: Models = Models(self.settings, context.database, clock)
        self.changed: asyncio.Event = asyncio.Event()
        """Set when a camera was set up or removed here."""
        self._context = context
        self._guard: EffectGuard | None = None
        self._records = VisionRecords(self.settings, clock)
        self._events = EventShipping(context.database, CONSUMER, context.stream)
        self._live: dict[str, LiveCamera] = {}
        self._opening = InterruptibleLock()
        self._looking = asyncio.Semaphore(AT_ONCE)

    @property
    def tasks(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs until cancelled."""
        return (self._events.run, self._watch)

    async def close(self) -> None:
        """Let go of the rules."""
        if self._guard is not None:
            await self._guard.close()

    # cameras

    async def put(self, camera: Camera, by: str) -> CameraState:
        """Set a camera up, or again, if the rules let `by` do so (`vision.enable`).

        Raises InvalidInput, ActionDenied, ApprovalRequired, and Unavailable.
        """
        check_camera(camera, self.settings)
        await self._ask(by, ENABLE, camera.camera, {"source": camera.source, "detector": camera.detector})
        await for_writing(self.database, self._tables.change, lambda db: self._records.put(db, camera))
        self._forget(camera.camera)
        return next(state for state in await self.cameras() if state.camera.camera == camera.camera)

    async def remove(self, name: str, by: str) -> None:
        """Forget a camera, if the rules let `by` do so (`vision.remove`). Raises NotFound, and as `put`."""
        await self._ask(by, REMOVE, name, {})
        await for_writing(self.database, self._tables.change, lambda db: self._records.remove(db, name))
        self._forget(name)

    async def cameras(self) -> list[CameraState]:
        """Every camera. Raises Unavailable."""
        return await for_reading(self.database, self._tables.read, list_cameras)

    async def approve(self, model: str, sha256: str | None, by: str) -> Model:
        """Let cameras use a model's file, if the rules let `by` say so (`vision.approve_model`)."""
        await self._ask(by, APPROVE, model, {"sha256": sha256})
        return await for_writing(self.database, self.models.approve, model, sha256, by)

    # pictures

    async def post_detections(self, name: str, detections: Sequence[Detection], at: float | None = None) -> None:
        """What an edge device found in one picture; one that is older than the last is left out.

        Raises NotFound, InvalidInput for a camera that looks itself, and Unavailable.
        """
        at = self._moment(at)
        live = await self._ready(name)
        if live.camera.detector != NO_DETECTOR:
            raise InvalidInput(f"camera {name}: takes pictures, as its detector is {live.camera.detector}")
        await for_writing(self.database, live.note, detections, at)

    async def post_image(self, name: str, image: bytes, at: float | None = None) -> list[Detection]:
        """Look at a posted JPEG or PNG. Raises NotFound, InvalidInput, MissingExtra, and Unavailable."""
        at = self._moment(at)
        live = await self._ready(name)
        async with self._looking:
            return await run_alone(_look_at, live, image, at)

    async def detect(self, detector: str, image: bytes) -> list[Detection]:
        """What the detector finds in an image: nothing is kept, nothing announced. Raises as `post_image`."""
        async with self._looking:
            return await run_alone(self._detect, detector, image)

    def tracks(self, name: str) -> list[Detection]:
        """What is where, as a camera of this process sees it now. Raises NotFound when nothing came from it yet."""
        live = self._live.get(name)
        if live is None:
            raise NotFound(f"camera {name[:100]!r}: nothing came from it since this server started")
        return live.tracks()

    def open_camera(self, name: str) -> LiveCamera:
        """The camera with its detector. Blocks. Raises NotFound, Conflict for a model that is not approved."""
        with self._opening:
            live = self._live.get(name)
            if live is None:
                camera: Camera = self._tables.read(lambda db: find_camera(db, name))
                live = LiveCamera(camera, self.settings, self._detector(camera.detector), self._write, self.clock)
                self._live[name] = live
            return live

    def note_down(self, name: str, reason: str) -> None:
        """Nothing comes from a camera. Blocks. Raises Unavailable."""
        live = self._live.pop(name, None)
        summary = None if live is None else live.finish()
        self._tables.change(lambda db: self._records.down(db, name, reason, summary))

    # evidence

    async def evidence(self, limit: int) -> list[Evidence]:
        """The blurred pictures that have not expired, the latest first. Raises Unavailable."""
        columns = [column for column in EVIDENCE.c if column.name != "jpeg"]
        query = sa.select(*columns).where(EVIDENCE.c.expires_at > self.clock()).order_by(EVIDENCE.c.at.desc())

        def read(db: sa.Connection) -> list[Evidence]:
            return [Evidence(**row._mapping) for row in db.execute(query.limit(limit))]

        return await for_reading(self.database, self._tables.read, read)

    async def jpeg(self, ref: str) -> bytes:
        """A blurred picture. Raises NotFound, also once it has expired, and Unavailable."""
        query = sa.select(EVIDENCE.c.jpeg).where(EVIDENCE.c.ref == ref, EVIDENCE.c.expires_at > self.clock())
        found: bytes | None = await for_reading(self.database, self._tables.read, lambda db: db.execute(query).scalar())
        if found is None:
            raise NotFound(f"no picture is kept as {ref[:100]!r}; it may have expired")
        return found

    # inside

    async def _ask(self, by: str, action: str, resource: str, params: dict[str, Any]) -> None:
        if self._guard is None:
            self._guard = self._context.find(EffectGuard)
        await required_guard(self._guard, action).check_ours(by, action, resource, params)

    async def _ready(self, name: str) -> LiveCamera:
        live = self._live.get(name)
        return await run_alone(self.open_camera, name) if live is None else live

    def _moment(self, at: float | None) -> float:
        now = self.clock()
        if at is not None and at > now + AHEAD:
            raise InvalidInput(f"at: is {at - now:.0f} s ahead of the clock here; set the camera's clock")
        return now if at is None else at

    def _detector(self, name: str) -> Detector | None:
        if name == NO_DETECTOR:
            return None
        if name in BUILT_IN:
            from brain.vision.detectors import built_in

            return built_in(name)
        return self.models.load(name)

    def _detect(self, name: str, image: bytes) -> list[Detection]:
        from brain.vision.pictures import decoded

        if name not in (*BUILT_IN, *self.settings.models):
            known = ", ".join((*BUILT_IN, *self.settings.models))
            raise InvalidInput(f"detector: {name[:100]!r} is not known; take one of {known}")
        picture, detector = decoded(image), self._detector(name)
        return [] if detector is None else detector(picture)

    def _write(self, camera: Camera, waiting: Sequence[tuple[Seen, bytes | None]]) -> None:
        def change(db: sa.Connection) -> bool:
            return all(self._records.saw(db, camera, seen, evidence) for seen, evidence in waiting)

        if not self._tables.change(change):
            self._live.pop(camera.camera, None)

    def _forget(self, name: str) -> None:
        self._live.pop(name, None)
        self.changed.set()

    async def _watch(self) -> None:
        looks = 0
        while True:
            try:
                await for_tasks(self.database, self._look, looks % 10 == 0)
            except OUTAGE as error:
                log.warning("cameras are not watched: the database is away", error=str(error))
            looks += 1
            await asyncio.sleep(LOOK if self._live else IDLE)

    def _look(self, expire: bool) -> None:
        """Announce what fell silent, leave what was set up again elsewhere, and delete what has expired."""
        for name in self._tables.read(self._records.silent):
            self.note_down(name, f"nothing came for {self.settings.silence:g} s")
        if self._live:
            known = {state.camera.camera: state.camera for state in self._tables.read(list_cameras)}
            for name, live in list(self._live.items()):
                if known.get(name) != live.camera:
                    self._live.pop(name, None)
        if expire:
            self._tables.change(self._records.expire)


def _look_at(live: LiveCamera, image: bytes, at: float) -> list[Detection]:
    from brain.vision.pictures import decoded

    return live.look(decoded(image), at)
