"""The cameras whose pictures this server fetches: one thread for each, which connects again and again."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from brain.errors import BrainError
from brain.kit.database import OUTAGE, reachable
from brain.kit.database_threads import for_tasks
from brain.kit.leases import Leases
from brain.logs import Log
from brain.stream.retry import Backoff
from brain.stream.threads import run_alone
from brain.vision.cameras import POSTED, Camera, file_of, is_stream
from brain.vision.service import VisionService

log: Log = Log("brain.vision")

LOOK, LEASE = 5.0, 20.0
"""Seconds between two looks at which cameras there are, and for which one server has a camera alone."""
LATE = 1.0
"""Seconds that the looking may be behind the pictures: then some are left out."""


class Players:
    """The threads of all cameras with a file or a stream. Each camera is played by one server at a time."""

    def __init__(self, service: VisionService) -> None:
        self.left_out: int = 0
        """Pictures that were not looked at, as the looking was behind."""
        self.delayed: int = 0
        """Pictures whose changes could not be written at once: they wait."""
        self._service = service
        self._leases = Leases("camera", service.clock)
        self._me = uuid.uuid4().hex
        self._playing: dict[str, tuple[Camera, threading.Event, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Play what is to be played, until cancelled."""
        try:
            while True:
                self._service.changed.clear()
                try:
                    await self._follow()
                except OUTAGE as error:
                    log.warning("cameras go on as they are: the database is away", error=str(error))
                try:
                    async with asyncio.timeout(LOOK):
                        await self._service.changed.wait()
                except TimeoutError:
                    continue
        finally:
            for _, stop, task in self._playing.values():
                stop.set()
                task.cancel()
            await asyncio.gather(*(task for _, _, task in self._playing.values()), return_exceptions=True)

    async def _follow(self) -> None:
        wanted = {one.camera.camera: one.camera for one in await self._service.cameras()}
        wanted = {name: camera for name, camera in wanted.items() if camera.source != POSTED}
        mine = await for_tasks(self._service.database, self._lease, wanted) if wanted else {}
        for name, (camera, stop, _) in list(self._playing.items()):
            if mine.get(name) != camera:
                stop.set()
                del self._playing[name]
        for name, camera in mine.items():
            if name not in self._playing:
                stop = threading.Event()
                task = asyncio.create_task(self._play_on(camera, stop))
                self._playing[name] = (camera, stop, task)

    def _lease(self, wanted: Mapping[str, Camera]) -> dict[str, Camera]:
        """Those of the cameras that no other server plays."""
        database = self._service.database
        with reachable(database), database.begin() as db:
            return {name: one for name, one in wanted.items() if self._leases.acquire(db, name, self._me, LEASE)}

    async def _play_on(self, camera: Camera, stop: threading.Event) -> None:
        backoff = Backoff(0.5, 30.0)
        while not stop.is_set():
            reason = "the file ended"
            try:
                await run_alone(self._play, camera, stop)
            except Exception as error:  # noqa: BLE001  (whatever a detector raises: the camera is down, and tried again)
                reason = str(error) if isinstance(error, BrainError) else f"{type(error).__name__}: {error}"
                log.warning("a camera is not played", camera=camera.camera, reason=reason)
            if stop.is_set():
                return
            try:
                await for_tasks(self._service.database, self._service.note_down, camera.camera, reason)
            except OUTAGE as error:
                log.warning("that a camera is down waits for the database", camera=camera.camera, error=str(error))
            if reason == "the file ended":
                return
            await asyncio.sleep(backoff.next_delay())

    def _play(self, camera: Camera, stop: threading.Event) -> None:
        """Look at one picture after the other, until the source ends or the camera is stopped. Blocks."""
        from brain.vision.pictures import frames

        service = self._service
        service.open_camera(camera.camera)  # a model that may not be used is found before the pictures are asked for
        started: float | None = None
        for frame in frames(self._address(camera), service.settings.rate):
            started = service.clock() if started is None else started
            at = started + frame.seconds
            if stop.wait(max(0.0, at - service.clock())):
                return
            if service.clock() - at > LATE and is_stream(camera.source):
                self.left_out += 1
                continue
            try:
                service.open_camera(camera.camera).look(frame.picture, at)
            except OUTAGE as error:
                self.delayed += 1
                log.warning("what a camera saw waits for the database", camera=camera.camera, error=str(error))

    def _address(self, camera: Camera) -> str:
        """Where the pictures are, with the password of the settings."""
        settings = self._service.settings
        if not is_stream(camera.source):
            return str(file_of(camera, settings))
        secret = settings.credentials.get(camera.camera)
        if secret is None:
            return camera.source
        user, _, password = secret.reveal().partition(":")
        parts = urlsplit(camera.source)
        return parts._replace(netloc=f"{quote(user, '')}:{quote(password, '')}@{parts.netloc}").geturl()
