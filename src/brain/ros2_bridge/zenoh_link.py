"""The driver `zenoh`: topics in the form of rmw_zenoh, `<domain>/<topic>/<type>/<hash>`, messages as CDR.

https://github.com/ros2/rmw_zenoh/blob/rolling/docs/design.md says how keys and attachments are made.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from brain.errors import BrainError, InvalidInput, Unavailable
from brain.extras import needs
from brain.logs import Log
from brain.ros2_bridge.graph import TOKENS, graph_of_tokens, type_of
from brain.ros2_bridge.interfaces import CANCEL_GOAL
from brain.ros2_bridge.links import GOAL_STATUS, Answer, GoalEnd, Link, Listener, Received
from brain.ros2_bridge.messages import from_cdr, to_cdr, type_hash
from brain.ros2_bridge.settings import LinkSettings
from brain.stream.retry import Backoff

with needs("links by Zenoh", "robots"):
    import zenoh
    import zenoh.ext

log: Log = Log("brain.ros2_bridge")

LOOK, ANSWER = 0.2, 0.5
"""Seconds between two looks whether the peer is there, and that it has to answer."""
_GOAL_ANSWER, _CANCEL_ANSWER = 10.0, 2.0
"""Seconds that a robot has to accept a goal, and to say that it gives one up."""
SETTLED = 1.0
"""Seconds after which changes of the graph are announced as one."""
_LEASE_MILLISECONDS = 800
"""When the peer hears nothing for so long, it lets go of us."""


def key_of(domain: int, topic: str, type: str) -> str:
    """The key of a topic. Raises InvalidInput for a type that is not known."""
    return f"{domain}/{topic.strip('/')}/{dds_name(type)}/{type_hash(type)}"


def dds_name(type: str) -> str:
    """The type as keys of rmw_zenoh have it, `nav_msgs::msg::dds_::Odometry_`."""
    package, _, name = type.rpartition("/")
    return f"{package.replace('/', '::')}::dds_::{name}_"


def _uuid(goal_id: str) -> dict[str, list[int]]:
    """The id of a goal as a message."""
    return {"uuid": list(bytes.fromhex(goal_id))}


def _check_type(key: str, type: str) -> None:
    """Raises InvalidInput for the key of another type: bytes of one may well be read as another."""
    _, dds, _ = key.rsplit("/", 2)
    found = type_of(dds)
    if found != type:
        raise InvalidInput(f"the topic has messages of type {found}, the settings have {type}")


class ZenohLink(Link):
    """A session that is connected to a router or a peer."""

    def __init__(self, settings: LinkSettings, listener: Listener) -> None:
        super().__init__(settings, listener)
        self._session: Any = None
        self._seq = 0
        self._tokens: set[str] = set()
        self._telling: asyncio.TimerHandle | None = None
        self._gid = os.urandom(16)
        self._told: dict[str, str] = {}
        """What was said last in the log of messages of a topic that could not be read."""

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
                self._note_trouble(str(error))
                log.warning("a link by Zenoh is not up", endpoint=self.settings.endpoint, error=str(error))
            finally:
                self._session = None
                self._forget_graph()
                if session is not None:
                    await asyncio.shield(asyncio.to_thread(session.close))
            await asyncio.sleep(backoff.next_delay())

    async def send(self, topic: str, type: str, message: Mapping[str, Any]) -> None:
        """Send a message. Raises Unavailable while the link is down, and InvalidInput for what does not fit."""
        session = self._session
        if session is None:
            raise Unavailable(f"the link to {topic} is down")
        data = to_cdr(type, message)
        self._seq += 1
        attachment = self._attachment()
        key = key_of(self.settings.domain_id, topic, type)
        try:
            await asyncio.to_thread(
                session.put, key, data, attachment=attachment, congestion_control=zenoh.CongestionControl.BLOCK
            )
        except zenoh.ZError as error:
            raise Unavailable(f"the link to {topic} is down: {error}") from error

    async def call(self, service: str, type: str, request: Mapping[str, Any], seconds: float) -> Answer:
        """Call a service once, and wait so long for its answer. Raises as `Link.call`."""
        data = await self._query(service, type, to_cdr(f"{type}_Request", request), seconds)
        if data is None:
            return Answer(False, {}, "no node offers it with this type, or it gave no answer")
        return Answer(True, from_cdr(f"{type}_Response", data))

    async def run_goal(
        self,
        action: str,
        type: str,
        goal_id: str,
        goal: Mapping[str, Any],
        accepted: Callable[[], None],
        seconds: float,
    ) -> GoalEnd:
        """Send a goal, and wait so long for its end. Raises as `Link.call`."""
        identity = {"goal_id": _uuid(goal_id)}
        sent = await self.call(
            f"{action}/_action/send_goal", f"{type}_SendGoal", identity | {"goal": goal}, min(seconds, _GOAL_ANSWER)
        )
        if not sent.ok or not sent.values["accepted"]:
            return GoalEnd("rejected" if sent.ok else "failed", {}, sent.words or "the robot did not accept it")
        accepted()
        ended = await self.call(f"{action}/_action/get_result", f"{type}_GetResult", identity, seconds)
        if not ended.ok:
            return GoalEnd("unknown", {}, ended.words)
        return GoalEnd(GOAL_STATUS.get(ended.values["status"], "unknown"), ended.values["result"])

    async def cancel_goal(self, action: str, type: str, goal_id: str) -> None:
        """Ask the robot to give a goal up. Raises Unavailable."""
        request = {"goal_info": {"goal_id": _uuid(goal_id)}}
        try:
            answer = await self.call(f"{action}/_action/cancel_goal", CANCEL_GOAL, request, _CANCEL_ANSWER)
        except TimeoutError as error:
            raise Unavailable(f"{action}: the robot did not answer that it gives the goal up") from error
        if not answer.ok:
            raise Unavailable(f"{action}: the goal cannot be cancelled: {answer.words}")

    async def _query(self, service: str, type: str, data: bytes, seconds: float) -> bytes | None:
        """The first answer's bytes; None when nobody is there to give one. Raises Unavailable and TimeoutError."""
        session, loop = self._session, asyncio.get_running_loop()
        if session is None:
            raise Unavailable(f"the link to {service} is down")
        answer: asyncio.Future[bytes | None] = loop.create_future()

        def ended(found: bytes | None) -> None:
            if not answer.done():
                answer.set_result(found)

        def came(reply: Any) -> None:  # in a thread of Zenoh
            if reply.ok is not None:
                loop.call_soon_threadsafe(ended, reply.ok.payload.to_bytes())

        self._seq += 1
        asking = partial(
            session.get,
            f"{self.settings.domain_id}/{service.strip('/')}/{dds_name(type)}/*",  # whatever its hash: Humble has none
            # Not indirect: else it may be said that all have answered before what they answered.
            zenoh.handlers.Callback(came, partial(loop.call_soon_threadsafe, ended, None), indirect=False),
            payload=data,
            attachment=self._attachment(),
            target=zenoh.QueryTarget.ALL,
            consolidation=zenoh.ConsolidationMode.NONE,
            timeout=seconds,
        )
        began = loop.time()
        try:
            await asyncio.to_thread(asking)
            async with asyncio.timeout(seconds + ANSWER):
                found = await answer
        except zenoh.ZError as error:
            raise Unavailable(f"the link to {service} is down: {error}") from error
        if found is None and self._session is not session:
            raise Unavailable(f"the link to {service} went down")
        if found is None and loop.time() - began >= seconds * 0.9:
            raise TimeoutError
        return found

    def _attachment(self) -> bytes:
        """What rmw_zenoh has beside each message: a number, the time, and who sends it."""
        return struct.pack("<qqB", self._seq, time.time_ns(), 16) + self._gid

    async def _follow(self, session: Any) -> None:
        """Carry messages until the peer is away, which is announced before anything else is done about it."""
        reason = "the peer went away"
        try:
            await self._begin(session)
            while await self._has_peer(session):  # noqa: ASYNC110  (Zenoh has no call that waits for this)
                await asyncio.sleep(LOOK)
        except (zenoh.ZError, BrainError) as error:
            reason = str(error)
        self._session = None
        await self.listener.went_down(reason)

    async def _begin(self, session: Any) -> None:
        self._session = session
        loop = asyncio.get_running_loop()
        await self.listener.came_up()
        for topic, type in self.subscriptions().items():
            # Any type and hash, but no topic below this one: /odom is not /odom/raw.
            key = f"{self.settings.domain_id}/{topic.strip('/')}/*/*"
            # With history: what a publisher keeps for those who come late (transient_local) comes, too.
            history = zenoh.ext.HistoryConfig(detect_late_publishers=True)
            heard = partial(self._arrived, loop, topic, type)
            zenoh.ext.declare_advanced_subscriber(session, key, heard, history=history)
        arrived = partial(self._token_arrived, loop)
        session.liveliness().declare_subscriber(f"{TOKENS}/{self.settings.domain_id}/**", arrived, history=True)
        self._tell_soon()

    async def _has_peer(self, session: Any) -> bool:
        """Whether a router or a peer is there, and answers: a wire that is cut is known only by that."""

        def asked() -> bool:
            if not (session.info.routers_zid() or session.info.peers_zid()):
                return False
            key = f"{TOKENS}/{self.settings.domain_id}/brain"
            return all(reply.ok is not None for reply in session.liveliness().get(key, timeout=ANSWER))

        return await asyncio.to_thread(asked)

    def _arrived(self, loop: asyncio.AbstractEventLoop, topic: str, type: str, sample: Any) -> None:
        """Called in a thread of Zenoh."""
        data = sample.payload.to_bytes()
        try:
            _check_type(str(sample.key_expr), type)
            message = from_cdr(type, data)
        except BrainError as error:
            self._note_undecoded()
            reason = str(error)[:300]
            if self._told.get(topic) != reason:
                self._told[topic] = reason
                log.warning("messages of a topic cannot be read", topic=topic, error=reason)
            loop.call_soon_threadsafe(self.listener.unread, topic, reason)
            return
        loop.call_soon_threadsafe(self.listener.received, Received(topic, len(data), message, data))

    def _token_arrived(self, loop: asyncio.AbstractEventLoop, sample: Any) -> None:
        """Called in a thread of Zenoh: something came to the graph, or left it."""
        loop.call_soon_threadsafe(self._note_token, str(sample.key_expr), sample.kind == zenoh.SampleKind.PUT)

    def _note_token(self, token: str, is_there: bool) -> None:
        (self._tokens.add if is_there else self._tokens.discard)(token)
        self._tell_soon()

    def _tell_soon(self) -> None:
        if self._telling is None and self._session is not None:
            self._telling = asyncio.get_running_loop().call_later(SETTLED, self._tell)

    def _tell(self) -> None:
        self._telling = None
        self.listener.graph_changed(graph_of_tokens(self._tokens))

    def _forget_graph(self) -> None:
        self._tokens.clear()
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None

    def _configuration(self) -> Any:
        made = zenoh.Config()
        made.insert_json5("mode", '"client"')
        made.insert_json5("connect/endpoints", f'["{self.settings.endpoint}"]')
        made.insert_json5("connect/timeout_ms", "1000")
        made.insert_json5("scouting/multicast/enabled", "false")
        made.insert_json5("transport/link/tx/lease", str(_LEASE_MILLISECONDS))
        return made
