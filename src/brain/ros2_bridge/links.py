"""What every link does: it connects again and again, carries messages both ways, and says when it is up or down."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from brain.errors import MissingExtra
from brain.logs import Log
from brain.redaction import may_hold_secret, redacted, redacted_json, redacted_text
from brain.ros2_bridge.graph import Graph
from brain.ros2_bridge.settings import LinkSettings

log: Log = Log("brain.ros2_bridge")


class Received(NamedTuple):
    """A message that came over a link. `cdr` are its bytes, where it came as those."""

    topic: str
    size: int
    message: Mapping[str, Any]
    cdr: bytes | None = None

    def without_secrets(self, type: str) -> Received:
        """As it may be kept and shown: with marks for secrets in its texts. Raises InvalidInput for another type."""
        if self.cdr is None:
            data = msgspec.json.encode(self.message)
            kept = redacted_json(data)
            return self if kept is data else self._replace(message=msgspec.json.decode(kept))
        if not may_hold_secret(self.cdr) or (shown := redacted(self.message)) == self.message:
            return self
        from brain.ros2_bridge.messages import to_cdr

        return self._replace(message=shown, cdr=to_cdr(type, shown))


class Answer(NamedTuple):
    """What a service answered. `ok` is False when it is not there, or says that it failed; `words` say so."""

    ok: bool
    values: Mapping[str, Any]
    words: str = ""


class GoalEnd(NamedTuple):
    """How a goal ended: succeeded, canceled, aborted, rejected, failed or unknown."""

    status: str
    values: Mapping[str, Any]
    words: str = ""


GOAL_STATUS: Mapping[int, str] = {4: "succeeded", 5: "canceled", 6: "aborted"}
"""The ends that action_msgs/msg/GoalStatus has."""


class Listener(Protocol):
    """What hears of a link; all are called on its event loop."""

    async def came_up(self) -> None:
        """The link is up, and nothing was sent over it yet."""

    async def went_down(self, reason: str) -> None:
        """The link is down."""

    def received(self, message: Received) -> None:
        """A message came."""

    def unread(self, topic: str, reason: str) -> None:
        """A message came that could not be read."""

    def graph_changed(self, graph: Graph) -> None:
        """The peer tells of other nodes, topics, services or actions than before."""


class Link(ABC):
    """A way to robots."""

    def __init__(self, settings: LinkSettings, listener: Listener) -> None:
        self.settings = settings
        self.listener = listener
        self.undecoded: int = 0
        """Messages that could not be read."""
        self.trouble: str = ""
        """Why it is not up, as the last try had it."""

    def _note_undecoded(self) -> None:
        self.undecoded += 1

    def _note_trouble(self, words: str) -> None:
        self.trouble = redacted_text(words)

    @abstractmethod
    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""

    @abstractmethod
    async def send(self, topic: str, type: str, message: Mapping[str, Any]) -> None:
        """Send a message. Raises Unavailable while the link is down, and InvalidInput for what does not fit."""

    @abstractmethod
    async def call(self, service: str, type: str, request: Mapping[str, Any], seconds: float) -> Answer:
        """Call a service once, and wait so long for its answer.

        Raises Unavailable when the link is down or goes down meanwhile, TimeoutError, and InvalidInput for what does
        not fit.
        """

    @abstractmethod
    async def run_goal(
        self,
        action: str,
        type: str,
        goal_id: str,
        goal: Mapping[str, Any],
        accepted: Callable[[], None],
        seconds: float,
    ) -> GoalEnd:
        """Send a goal, and wait so long for its end. `accepted` is called where the robot says so. Raises as `call`."""

    @abstractmethod
    async def cancel_goal(self, action: str, type: str, goal_id: str) -> None:
        """Ask the robot to give a goal up; how that ends is the end of the goal. Raises Unavailable."""

    async def flush(self) -> None:  # noqa: B027  (a link that waits for its peer when it closes needs nothing more)
        """Wait until the peer has what was sent. Raises Unavailable."""

    def subscriptions(self) -> Mapping[str, str]:
        """The types of the topics that are heard, by name: those watched, and those of commands."""
        watched = {topic: one.type for topic, one in self.settings.topics.items()}
        return watched | {topic: one.type for topic, one in self.settings.commands.items()}


class AbsentLink(Link):
    """A link whose driver needs an extra that is not installed: it is down, and says why."""

    def __init__(self, settings: LinkSettings, listener: Listener, error: MissingExtra) -> None:
        super().__init__(settings, listener)
        self._error = error

    async def run(self) -> None:
        """Say that it is down, and wait until cancelled."""
        self._note_trouble(str(self._error))
        await self.listener.went_down(self.trouble)
        await asyncio.Event().wait()

    async def send(self, topic: str, type: str, message: Mapping[str, Any]) -> None:
        """Raises MissingExtra."""
        raise MissingExtra(str(self._error))

    async def call(self, service: str, type: str, request: Mapping[str, Any], seconds: float) -> Answer:
        """Raises MissingExtra."""
        raise MissingExtra(str(self._error))

    async def run_goal(
        self,
        action: str,
        type: str,
        goal_id: str,
        goal: Mapping[str, Any],
        accepted: Callable[[], None],
        seconds: float,
    ) -> GoalEnd:
        """Raises MissingExtra."""
        raise MissingExtra(str(self._error))

    async def cancel_goal(self, action: str, type: str, goal_id: str) -> None:
        """Raises MissingExtra."""
        raise MissingExtra(str(self._error))


def link_or_absent(settings: LinkSettings, listener: Listener) -> Link:
    """The link of these settings, for a server: it starts without the extra, too."""
    try:
        return make_link(settings, listener)
    except MissingExtra as error:
        log.error("a link cannot be opened: an extra is not installed", error=str(error))
        return AbsentLink(settings, listener, error)


def make_link(settings: LinkSettings, listener: Listener) -> Link:
    """The link of these settings. Raises MissingExtra, and InvalidInput for a definition that is none."""
    if settings.services or settings.actions:
        from brain.ros2_bridge.interfaces import learn_types

        learn_types(settings)
    if settings.driver == "rosbridge":
        from brain.ros2_bridge.rosbridge import RosbridgeLink

        return RosbridgeLink(settings, listener)
    from brain.ros2_bridge.zenoh_link import ZenohLink

    return ZenohLink(settings, listener)
