"""What comes over a link written as a bag in MCAP: a recorder that is killed loses a second at most.

Each half second is a chunk of its own, and is given to the operating system at once. `brain.ros2_bridge.bags` reads a
bag that has no end. Needs the extra `robots`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from brain.errors import BrainError, InvalidInput
from brain.extras import needs
from brain.logs import Log
from brain.ros2_bridge.links import Received
from brain.ros2_bridge.messages import definition_of, to_cdr

with needs("recordings", "robots"):
    from mcap.writer import Writer

log: Log = Log("brain.ros2_bridge")

LOOK, FLUSH = 0.1, 0.5
"""Seconds between two calls of `look`, and after which what was written goes to the disk."""
_AGAIN = 60.0
"""Seconds after which a link whose bag could not be written begins another."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A bag that was recorded."""

    file: Annotated[str, Meta(description="Its name.")]
    bytes: Annotated[int, Meta(description="Its size.")]
    messages: Annotated[int, Meta(description="Messages in it.")]
    seconds: Annotated[float, Meta(description="From the first message to the last.")]


class BagRecorder:
    """One bag that is written. Raises OSError when the disk is full."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidInput when the file is there already, or cannot be made."""
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise InvalidInput(f"{path}: cannot be written: {error.strerror}") from error
        self.path = path
        self.written: int = 0
        self.left_out: int = 0
        """Messages whose type is not known, or that do not fit it."""
        self._writer = Writer(self._file)
        self._writer.start(profile="ros2", library="brain-eventstream")
        self._writer.flush()
        self._schemas: dict[str, int] = {}
        self._channels: dict[tuple[str, str], int] = {}
        self._first: float | None = None
        self._last = 0.0
        self._flushed_at = time.monotonic()

    def add(self, message: Received, type: str, at: float) -> None:
        """Write a message that came at that time, in Unix seconds."""
        try:
            channel = self._channel(message.topic, type)
            data = to_cdr(type, message.message) if message.cdr is None else message.cdr
        except BrainError as error:
            if not self.left_out:
                log.warning("messages are not recorded", topic=message.topic, error=str(error)[:300])
            self.left_out += 1
            return
        self._first = at if self._first is None else self._first
        self._last = at
        moment = round(at * 1e9)
        self._writer.add_message(channel, moment, data, moment, self.written & 0xFFFFFFFF)
        self.written += 1

    def look(self) -> None:
        """Give what was written to the operating system, when it is time."""
        if time.monotonic() - self._flushed_at >= FLUSH:
            self._flushed_at = time.monotonic()
            self._writer.flush()

    def close(self) -> Recording:
        """Finish the bag; what is in it. Blocks until it is on the disk."""
        try:
            self._writer.finish()
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
        finally:
            self._file.close()
        seconds = 0.0 if self._first is None else self._last - self._first
        return Recording(file=self.path.name, bytes=size, messages=self.written, seconds=seconds)

    def _channel(self, topic: str, type: str) -> int:
        channel = self._channels.get((topic, type))
        if channel is None:
            if type not in self._schemas:
                text = definition_of(type).encode()
                self._schemas[type] = self._writer.register_schema(type, "ros2msg", text)
            channel = self._writer.register_channel(topic, "cdr", self._schemas[type])
            self._channels[topic, type] = channel
        return channel


class LinkRecorder:
    """The bags of one link, one after the other, as `LINK-20261130T164500Z.mcap`. `clock` gives Unix seconds."""

    def __init__(self, folder: Path, link: str, minutes: float, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._link = link
        self._seconds = minutes * 60
        self._clock = clock
        self._bag: BagRecorder | None = None
        self._began_at = float("-inf")
        self._gave_up_at = float("-inf")

    def add(self, message: Received, type: str) -> None:
        """Write a message; one that cannot be written is left out, and another bag is begun a minute later."""
        now = self._clock()
        try:
            if self._bag is None and abs(now - self._gave_up_at) >= _AGAIN:
                self._bag, self._began_at = self._begun(now), now
            if self._bag is not None:
                self._bag.add(message, type, now)
        except (OSError, InvalidInput) as error:
            self._gave_up(error, now)

    def look(self) -> BagRecorder | None:
        """Flush; the bag that is over and must be closed, if one is."""
        bag = self._bag
        if bag is None:
            return None
        try:
            bag.look()
        except OSError as error:
            self._gave_up(error, self._clock())
            return None
        if abs(self._clock() - self._began_at) < self._seconds:
            return None
        self._bag = None
        return bag

    def end(self) -> BagRecorder | None:
        """The bag that must be closed at the end, if there is one."""
        bag, self._bag = self._bag, None
        return bag

    def _begun(self, now: float) -> BagRecorder:
        self._folder.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        names = [f"{self._link}-{stamp}.mcap", *(f"{self._link}-{stamp}-{number}.mcap" for number in range(2, 100))]
        return BagRecorder(next(path for name in names if not (path := self._folder / name).exists()))

    def _gave_up(self, error: Exception, now: float) -> None:
        log.error("a link is not recorded: its bag cannot be written", link=self._link, error=str(error))
        self._bag, self._gave_up_at = None, now


def closed(bag: BagRecorder) -> tuple[Recording, str]:
    """Finish the bag; what is in it, and its SHA-256. Blocks. Raises OSError."""
    found = bag.close()
    with bag.path.open("rb") as file:
        return found, hashlib.file_digest(file, "sha256").hexdigest()
