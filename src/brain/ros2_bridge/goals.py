"""Goals of actions: sent through the gate, followed to their end, cancelled when the robot may not go on."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from brain.errors import BrainError, InvalidInput, NotFound, NotNow, Unavailable
from brain.kit.protocols import EffectGuard, MotionInterlock
from brain.logs import Log
from brain.redaction import redacted, redacted_text
from brain.ros2_bridge.admission import Admission, NotAdmitted
from brain.ros2_bridge.calls import Announce, CallGate, text_of
from brain.ros2_bridge.events import GOAL_CHANGED
from brain.ros2_bridge.links import Link
from brain.ros2_bridge.settings import ActionSettings

log: Log = Log("brain.ros2_bridge")

SEND_GOAL: Final = "ros2.send_goal"
"""The action that rules decide on for goals; the resource is the robot's name."""
_KEPT = 100
"""Goals that are over and still listed, of one action."""
_MOST_GOING = 100
"""Goals of one action that may go on at a time."""
_LARGEST = 1 << 16
"""Bytes of a result that is kept."""
_AGAIN = 0.5
"""Seconds after which a cancellation that had no effect is sent again."""


class GoalState(msgspec.Struct, frozen=True, kw_only=True):
    """A goal of an action."""

    goal_id: Annotated[str, Meta(description="Its id: 32 hexadecimal digits.")]
    link: Annotated[str, Meta(description="The link.")]
    action: Annotated[str, Meta(description="The action, as `/navigate_to_pose`.")]
    robot: Annotated[str, Meta(description="The robot.")]
    agent_id: Annotated[str, Meta(description="The agent that gave it.")]
    status: Annotated[
        str,
        Meta(
            description="sent, accepted, canceling, lost (the link is down); at its end succeeded, canceled, aborted, "
            "rejected, failed, timeout or unknown."
        ),
    ]
    reason: Annotated[str, Meta(description="Why it is cancelled or failed; else empty.")]
    answer: Annotated[dict[str, Any], Meta(description="The result, by the fields of the action's type.")]
    sent_at: Annotated[float, Meta(description="When it was sent, in Unix seconds.")]
    seconds: Annotated[float | None, Meta(description="How long it took; null while it goes on.")]


@dataclass
class _Goal:
    goal_id: str
    agent: str
    message: Mapping[str, Any]
    sent_at: float
    status: str = "sent"
    reason: str = ""
    answer: dict[str, Any] = field(default_factory=dict)
    ended_at: float | None = None
    cancelled_at: float | None = None
    """When it was cancelled last, by the event loop's clock."""
    task: asyncio.Task[None] | None = None

    @property
    def is_lost(self) -> bool:
        """Whether nobody waits for its end any more: its link went down."""
        return self.task is not None and self.task.done()


class GoalGate(CallGate):
    """The gate of one action of one link. `clock` gives Unix seconds."""

    def __init__(
        self,
        bridge: str,
        name: str,
        settings: ActionSettings,
        link: Link,
        guard: EffectGuard | None,
        announce: Announce,
        interlocks: Sequence[MotionInterlock] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        admission = Admission(SEND_GOAL, name, settings.robot, settings.most_hz, guard, interlocks)
        super().__init__(bridge, "action", name, settings, admission, announce)
        self._seconds = settings.timeout_seconds
        self._link = link
        self._clock = clock
        self._going: dict[str, _Goal] = {}
        self._over: deque[_Goal] = deque(maxlen=_KEPT)

    async def send(self, agent: str, goal: Mapping[str, Any]) -> GoalState:
        """Send a goal; its state now. Raises what it was refused with."""
        await self.admit(agent, goal)
        made = _Goal(uuid.uuid4().hex, agent, goal, self._clock())
        self._going[made.goal_id] = made
        self._tell(made)
        made.task = asyncio.create_task(self._follow(made))
        return self._state(made)

    async def _admitted(self, agent: str, request: Mapping[str, Any]) -> str | None:
        if len(self._going) >= _MOST_GOING:
            raise NotAdmitted("rate", NotNow(f"{self.name}: {_MOST_GOING} goals go on; wait until one ends"))
        return await super()._admitted(agent, request)

    async def cancel(self, goal_id: str, reason: str) -> GoalState:
        """Have the robot give a goal up; nobody is asked. Raises NotFound, and Unavailable when that cannot be sent.

        It is sent again until the goal ends. A goal that is over stays as it is.
        """
        goal = self._going.get(goal_id)
        if goal is None:
            for one in self._over:
                if one.goal_id == goal_id:
                    return self._state(one)
            raise NotFound(f"{self.name}: no goal has the id {goal_id[:64]!r}")
        await self._cancel(goal, reason)
        return self._state(goal)

    def has(self, goal_id: str) -> bool:
        """Whether a goal of this id is known."""
        return goal_id in self._going or any(one.goal_id == goal_id for one in self._over)

    def goals(self) -> list[GoalState]:
        """Those that go on, and those that ended last; the newest first."""
        return [self._state(one) for one in (*reversed(self._going.values()), *reversed(self._over))]

    # stops

    async def link_up(self) -> None:
        """The link is there: goals that were lost with it are cancelled before anything else."""
        await asyncio.gather(*(self._try_to_cancel(goal, "link_up") for goal in list(self._going.values())))
        await super().link_up()

    async def look(self) -> None:
        """Cancel what a contained robot still does, and again what should have ended."""
        if not self._going or not self.up:
            return
        try:
            contained = await self._admission.is_contained()
        except NotAdmitted as refused:
            log.debug("a robot takes no goals", action=self.name, reason=str(refused))
            contained = False
        now = asyncio.get_running_loop().time()
        for goal in list(self._going.values()):
            if goal.is_lost:
                await self._try_to_cancel(goal, "link_up")
            elif goal.cancelled_at is not None and now - goal.cancelled_at >= _AGAIN:
                await self._try_to_cancel(goal, goal.reason)
            elif goal.cancelled_at is None and contained:
                await self._try_to_cancel(goal, "contained")

    async def look_at_interlocks(self) -> None:
        """Cancel what an interlock lets the robot no longer do, or nobody can be asked about."""
        if not self.up or not any(goal.cancelled_at is None for goal in self._going.values()):
            return
        if (reason := await self.limited()) is not None:
            for goal in list(self._going.values()):
                if goal.cancelled_at is None:
                    await self._try_to_cancel(goal, f"interlock: {reason}")

    async def close(self) -> None:
        """Cancel what goes on, and follow it no further."""
        if self.up:
            await asyncio.gather(*(self._try_to_cancel(goal, "shutdown") for goal in list(self._going.values())))
        tasks = [goal.task for goal in self._going.values() if goal.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, goal: _Goal) -> None:
        """Send it, and wait for its end."""

        def accepted() -> None:
            if goal.status == "sent":
                goal.status = "accepted"
                self._tell(goal)

        try:
            found = await self._link.run_goal(
                self.name, self._settings.type, goal.goal_id, goal.message, accepted, self._seconds
            )
        except TimeoutError:
            await self._try_to_cancel(goal, "timeout")
            self._end(goal, "timeout", f"no result within {self._seconds:g} s; it was cancelled")
        except InvalidInput as error:
            self._end(goal, "failed", str(error))
        except Unavailable as error:
            goal.status, goal.reason = "lost", str(error)
            self._tell(goal)  # it is cancelled when the link is up again
        else:
            size = len(msgspec.json.encode(found.values))
            words = "" if size <= _LARGEST else f"its result of {size:,} bytes is not kept"
            goal.answer = {} if words else redacted(dict(found.values))  # everybody who may read sees it
            self._end(goal, found.status, redacted_text(found.words) or words or goal.reason)

    async def _try_to_cancel(self, goal: _Goal, reason: str) -> None:
        """Cancel it; one that was lost with its link is over then, since nobody will tell how it ended."""
        was_lost = goal.is_lost
        try:
            await self._cancel(goal, reason)
        except BrainError as error:
            self.counts["cancellations_not_sent"] += 1
            log.error("a goal could not be cancelled", action=self.name, goal=goal.goal_id, error=str(error))
            if was_lost and self._clock() - goal.sent_at > self._seconds:
                self._end(goal, "unknown", f"the link was down meanwhile, and then: {error}"[:1000])
            return
        if was_lost:
            self._end(goal, "unknown", "the link was down meanwhile; it was cancelled when it was up again")

    async def _cancel(self, goal: _Goal, reason: str) -> None:
        goal.cancelled_at = asyncio.get_running_loop().time()
        if goal.status != "canceling":
            self.counts["cancellations"] += 1
            goal.status, goal.reason = "canceling", reason
            self._tell(goal)
        await self._link.cancel_goal(self.name, self._settings.type, goal.goal_id)

    def _end(self, goal: _Goal, status: str, reason: str) -> None:
        if self._going.pop(goal.goal_id, None) is None:
            return
        goal.status, goal.reason, goal.ended_at = status, reason, self._clock()
        self.counts[status] += 1
        self._over.append(goal)
        self._tell(goal)

    def _tell(self, goal: _Goal) -> None:
        subject = self._subject(goal.agent)
        subject = {"action": subject.pop("topic"), **subject}
        del subject["kind"]
        said = {
            "goal_id": goal.goal_id,
            "status": goal.status,
            "reason": goal.reason[:1000],
            "seconds": (goal.ended_at or self._clock()) - goal.sent_at,
            "answer": text_of(goal.answer),
        }
        self._announce(GOAL_CHANGED, subject | said)

    def _state(self, goal: _Goal) -> GoalState:
        return GoalState(
            goal_id=goal.goal_id,
            link=self._bridge,
            action=self.name,
            robot=self._settings.robot,
            agent_id=goal.agent,
            status=goal.status,
            reason=goal.reason,
            answer=goal.answer,
            sent_at=goal.sent_at,
            seconds=None if goal.ended_at is None else goal.ended_at - goal.sent_at,
        )
