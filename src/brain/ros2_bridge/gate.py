"""The gate before a command topic: rules, bounds, rate, interlocks, containment and deadman. A stop asks nobody."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from brain.charter import EventType
from brain.errors import BrainError, Conflict, InvalidInput, NotNow, Unavailable
from brain.kit.database import OUTAGE
from brain.kit.protocols import EffectGuard, MotionInterlock, MotionLimit
from brain.logs import Log
from brain.ros2_bridge.admission import Admission, NotAdmitted
from brain.ros2_bridge.bounds import digest, speed_of, stop_message
from brain.ros2_bridge.events import COMMAND_REFUSED, COMMAND_SENT, STOP_SENT
from brain.ros2_bridge.settings import CommandSettings

log: Log = Log("brain.ros2_bridge")

PUBLISH = "ros2.publish"
"""The action that rules decide on; the resource is the robot's name, the params have the topic and its message."""
_REMEMBERED = 2_000
"""Own messages that are known again when a link sends them back."""

Send = Callable[[str, str, Mapping[str, Any]], Awaitable[None]]
Announce = Callable[[EventType[Any], dict[str, Any]], None]


class CommandGate:
    """The gate of one topic of one link. `send` gives a message to the link, `announce` publishes an event."""

    def __init__(
        self,
        bridge: str,
        topic: str,
        settings: CommandSettings,
        guard: EffectGuard | None,
        send: Send,
        announce: Announce,
        interlocks: Sequence[MotionInterlock] = (),
    ) -> None:
        self.topic = topic
        self.settings = settings
        self.counts: Counter[str] = Counter()
        """Since the start: sent, stops, and refused ones by code."""
        self._bridge = bridge
        self._admission = Admission(PUBLISH, topic, settings.robot, settings.most_hz, guard, interlocks)
        self._send = send
        self._announce = announce
        self._interlocks = interlocks
        self._moving: Mapping[str, Any] | None = None
        self._up = False
        self._contained = False
        self._stops = 0
        self._own: deque[str] = deque(maxlen=_REMEMBERED)
        self._deadman: asyncio.TimerHandle | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    # commands

    async def publish(self, agent: str, message: Mapping[str, Any]) -> str | None:
        """Send it; the rule that let it through. Raises what it was refused with: nothing was sent then."""
        try:
            rule_id = await self._admitted(agent, message)
            await self._give(message)
        except NotAdmitted as refused:
            self.counts[refused.code] += 1
            self._announce(
                COMMAND_REFUSED, self._subject(agent) | {"code": refused.code, "reason": str(refused)[:1000]}
            )
            raise refused.error from None
        await asyncio.sleep(0)  # whoever sends without a pause must not keep the link from its pings
        self.counts["sent"] += 1
        self._announce(COMMAND_SENT, self._subject(agent) | {"args_hash": digest(message), "rule_id": rule_id})
        return rule_id

    async def _admitted(self, agent: str, message: Mapping[str, Any]) -> str | None:
        self._admission.check_form(self.settings.type, message, self.settings.bounds)
        self._admission.check_rate()
        stops = self._stops
        await self._look_whether_contained()
        await self._check_interlocks(message)
        params = {"topic": self.topic, "type": self.settings.type, "message": message}
        rule_id = await self._admission.decided(agent, params)
        if not self._up:
            raise NotAdmitted("link_down", NotNow(f"{self.topic}: the link is down"))
        if self._stops != stops:
            raise NotAdmitted("stopped", NotNow(f"{self.topic}: the robot was stopped meanwhile; send it again"))
        return rule_id

    async def _check_interlocks(self, message: Mapping[str, Any]) -> None:
        """Raises NotAdmitted for a movement that is faster than an interlock lets it go; at 0 it may not turn."""
        if not self._interlocks or self._is_stop(message):
            return
        try:
            limit = await self._admission.limit()
        except (*OUTAGE, Unavailable) as error:
            words = f"{self.topic}: an interlock cannot be asked: {error}"
            raise NotAdmitted("unavailable", Unavailable(words)) from error
        if limit is not None and self._too_fast(message, limit):
            words = f"{self.topic}: {limit.reason}: it may go at {limit.most:g} m/s at most"
            raise NotAdmitted("interlock", Conflict(words))

    def _too_fast(self, message: Mapping[str, Any], limit: MotionLimit) -> bool:
        speed = speed_of(message, self.settings)
        return not limit.most or speed is None or speed > limit.most

    def _is_stop(self, message: Mapping[str, Any]) -> bool:
        return digest(message) == digest(stop_message(self.settings))

    async def _give(self, message: Mapping[str, Any]) -> None:
        self._arm(message)
        self._own.append(digest(message))
        try:
            await self._send(self.topic, self.settings.type, message)
        except InvalidInput as error:
            raise NotAdmitted("message", error) from error
        except Unavailable as error:
            raise NotAdmitted("link_down", error) from error

    # stops

    async def link_up(self) -> None:
        """The link is there: the robot gets a zero command before anything else."""
        await self._stop("link_up")
        self._up = True

    def link_down(self) -> None:
        """The link is away: nothing is let through until it is there again."""
        self._up = False
        self._disarm()

    async def close(self) -> None:
        """Stop the robot if it moves."""
        moving, self._up = self._deadman is not None and self._up, False
        self._disarm()
        if moving:
            await self._stop("shutdown")

    async def look(self) -> None:
        """See whether the robot was contained meanwhile; if so it gets one zero command."""
        try:
            await self._look_whether_contained()
        except NotAdmitted as refused:
            log.debug("a robot takes no commands", robot=self.settings.robot, reason=str(refused))

    async def look_at_interlocks(self) -> None:
        """Stop the robot when it moves faster than an interlock lets it now, or nobody can be asked how fast it may."""
        if self._moving is None or not self._interlocks:
            return
        try:
            limit = await self._admission.limit()
        except (*OUTAGE, Unavailable) as error:
            limit = MotionLimit(0.0, f"an interlock cannot be asked: {error}")
        if limit is not None and self._moving is not None and self._too_fast(self._moving, limit):
            self._disarm()
            await self._stop("interlock", limit.reason)

    async def _look_whether_contained(self) -> None:
        """Raises NotAdmitted for a contained robot."""
        contained = await self._admission.is_contained()
        if contained and not self._contained:
            self._contained = True
            self._disarm()
            await self._stop("contained")
        self._contained = contained
        if contained:
            raise self._admission.contained()

    async def _stop(self, reason: str, detail: str = "") -> None:
        self._stops += 1
        message = stop_message(self.settings)
        self._own.append(digest(message))
        try:
            await self._send(self.topic, self.settings.type, message)
        except BrainError as error:
            self.counts["stops_not_sent"] += 1
            log.error("a robot could not be sent its stop", topic=self.topic, reason=reason, error=str(error))
            return
        self.counts["stops"] += 1
        self._announce(
            STOP_SENT,
            {
                "bridge_id": self._bridge,
                "robot_id": self.settings.robot,
                "topic": self.topic,
                "reason": reason,
                "detail": detail[:1000],
            },
        )

    def _arm(self, message: Mapping[str, Any]) -> None:
        self._disarm()
        if not self._is_stop(message):
            self._moving = message
            loop = asyncio.get_running_loop()
            self._deadman = loop.call_later(self.settings.deadman_seconds, self._deadman_fired)

    def _disarm(self) -> None:
        self._moving = None
        if self._deadman is not None:
            self._deadman.cancel()
            self._deadman = None

    def _deadman_fired(self) -> None:
        self._disarm()
        task = asyncio.create_task(self._stop("deadman"))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    # others

    def is_own(self, message: Mapping[str, Any]) -> bool:
        """Whether a message that came on the topic is one of this gate, sent back by the link."""
        found = digest(message)
        if found in self._own:
            self._own.remove(found)
            return True
        return False

    def _subject(self, agent: str) -> dict[str, Any]:
        return {
            "bridge_id": self._bridge,
            "robot_id": self.settings.robot,
            "kind": "topic",
            "topic": self.topic,
            "type": self.settings.type,
            "agent_id": agent,
        }
