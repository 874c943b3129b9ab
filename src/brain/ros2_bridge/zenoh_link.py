"""The driver `zenoh`: topics in the form of rmw_zenoh, `<domain>/<topic>/<type>/<hash>`, messages as CDR.

https://github.com/ros2/rmw_zenoh/blob/rolling/docs/design.md says how keys and attachments are made.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from brain.errors import BrainError, Unavailable
from brain.extras import needs
from brain.logs import Log
from brain.ros2_bridge.links import Link, Listener, Received
from brain.ros2_bridge.messages import from_cdr, to_cdr, type_hash
from brain.ros2_bridge.settings import LinkSettings
from brain.stream.retry import Backoff

with needs("links by Zenoh", "robots"):
    import zenoh

log: Log = Log("brain.ros2_bridge")

LOOK = 0.2
"""Seconds between two looks whether the peer is there."""
_LEASE_MILLISECONDS = 800
"""A peer that says nothing for so long is away."""


def key_of(domain: int, topic: str, type: str) -> str:
    """The key of a topic. Raises InvalidInput for a type that is not known."""
    package, _, name = type.rpartition("/")
    dds = f"{package.replace('/', '::')}::dds_::{name}_"
    return f"{domain}/{topic.strip('/')}/{dds}/{type_hash(type)}"


class ZenohLink(Link):
    """A session that is connected to a router or a peer."""

    def __init__(self, settings: LinkSettings, listener: Listener) -> None:
        super().__init__(settings, listener)
        self._session: Any = None
        self._seq = 0
        self._gid = os.urandom(16)

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        backoff = Backoff(0.1, 1.0)
        while True:
            session = None
            try:
                session = await asyncio.to_thread(zenoh.open, self._configuration())
                if await self._has_peer(session):
                    backoff.reset()
                    await self._follow(session)
            except (zenoh.ZError, BrainError) as error:
                log.warning("a link by Zenoh is not up", endpoint=self.settings.endpoint, error=str(error))
            finally:
                was_up, self._session = self._session is not None, None
                if session is not None:
                    await asyncio.shield(asyncio.to_thread(session.close))
            if was_up:
                await self.listener.went_down("the peer went away")
            await asyncio.sleep(backoff.next_delay())

    async def send(self, topic: str, type: str, message: Mapping[str, Any]) -> None:
        """Send a message. Raises Unavailable while the link is down, and InvalidInput for what does not fit."""
        session = self._session
        if session is None:
            raise Unavailable(f"the link to {topic} is down")
        data = to_cdr(type, message)
        self._seq += 1
        attachment = struct.pack("<qqB", self._seq, time.time_ns(), 16) + self._gid
        key = key_of(self.settings.domain_id, topic, type)
        try:
            await asyncio.to_thread(
                session.put, key, data, attachment=attachment, congestion_control=zenoh.CongestionControl.BLOCK
            )
        except zenoh.ZError as error:
            raise Unavailable(f"the link to {topic} is down: {error}") from error

    async def _follow(self, session: Any) -> None:
        self._session = session
        loop = asyncio.get_running_loop()
        await self.listener.came_up()
        for topic, type in self.subscriptions().items():
            key = f"{self.settings.domain_id}/{topic.strip('/')}/**"
            session.declare_subscriber(key, partial(self._arrived, loop, topic, type))
        while await self._has_peer(session):  # noqa: ASYNC110  (Zenoh has no call that waits for this)
            await asyncio.sleep(LOOK)

    async def _has_peer(self, session: Any) -> bool:
        return await asyncio.to_thread(lambda: bool(session.info.routers_zid() or session.info.peers_zid()))

    def _arrived(self, loop: asyncio.AbstractEventLoop, topic: str, type: str, sample: Any) -> None:
        """Called in a thread of Zenoh."""
        data = sample.payload.to_bytes()
        try:
            message = from_cdr(type, data)
        except BrainError as error:
            self._note_undecoded()
            log.warning("a message could not be read", topic=topic, error=str(error)[:300])
            return
        loop.call_soon_threadsafe(self.listener.received, Received(topic, len(data), message))

    def _configuration(self) -> Any:
        made = zenoh.Config()
        made.insert_json5("mode", '"client"')
        made.insert_json5("connect/endpoints", f'["{self.settings.endpoint}"]')
        made.insert_json5("connect/timeout_ms", "1000")
        made.insert_json5("scouting/multicast/enabled", "false")
        made.insert_json5("transport/link/tx/lease", str(_LEASE_MILLISECONDS))
        return made
