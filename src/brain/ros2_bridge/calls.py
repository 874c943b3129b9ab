"""The gate before services and actions of ROS: what holds for a command topic holds for a call, too."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from brain.charter import EventType
from brain.errors import Conflict, InvalidInput, NotNow, Unavailable
from brain.kit.database import OUTAGE
from brain.kit.protocols import EffectGuard, MotionInterlock
from brain.redaction import redacted, redacted_text
from brain.ros2_bridge.admission import Admission, NotAdmitted
from brain.ros2_bridge.events import COMMAND_REFUSED, COMMAND_SENT, SERVICE_ANSWERED
from brain.ros2_bridge.links import Link
from brain.ros2_bridge.settings import CallSettings, ServiceSettings

CALL: Final = "ros2.call"
"""The action that rules decide on for services; the resource is the robot's name."""
_LONGEST = 1000
"""Characters of an answer in an event, and of a reason."""

Announce = Callable[[EventType[Any], dict[str, Any]], None]


class CallGate:
    """What services and actions of one link have in common. `kind` is service or action."""

    def __init__(
        self,
        bridge: str,
        kind: str,
        name: str,
        settings: CallSettings,
        admission: Admission,
        announce: Announce,
    ) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        """Since the start: sent, refused ones by code, and what became of the others."""
        self.up: bool = False
        """Whether the link is up."""
        self._bridge = bridge
        self._kind = kind
        self._settings = settings
        self._admission = admission
        self._announce = announce

    async def admit(self, agent: str, request: Mapping[str, Any]) -> str | None:
        """The rule that lets the agent ask for it; announced either way. Raises what it is refused with."""
        try:
            rule_id = await self._admitted(agent, request)
        except NotAdmitted as refused:
            self.counts[refused.code] += 1
            said = {"code": refused.code, "reason": str(refused)[:_LONGEST]}
            self._announce(COMMAND_REFUSED, self._subject(agent) | said)
            raise refused.error from None
        self.counts["sent"] += 1
        self._announce(COMMAND_SENT, self._subject(agent) | {"args_hash": args_hash(request), "rule_id": rule_id})
        return rule_id

    async def _admitted(self, agent: str, request: Mapping[str, Any]) -> str | None:
        self._admission.check_form(self._form, request, self._settings.bounds)
        self._admission.check_rate()
        await self._check_state()
        params = {self._kind: self.name, "type": self._settings.type, "message": request}
        rule_id = await self._admission.decided(agent, params)
        await self._check_state()  # a person may have been asked meanwhile
        if not self.up:
            raise NotAdmitted("link_down", NotNow(f"{self.name}: the link is down"))
        return rule_id

    @property
    def _form(self) -> str:
        """The type of what is sent."""
        return f"{self._settings.type}_{'Request' if self._kind == 'service' else 'Goal'}"

    async def _check_state(self) -> None:
        """Raises NotAdmitted for a contained robot, and for one that an interlock limits, as its speed is not known."""
        if await self._admission.is_contained():
            raise self._admission.contained()
        if (reason := await self.limited()) is not None:
            raise NotAdmitted("interlock", Conflict(f"{self.name}: {reason}: nobody knows how fast it would go"))

    async def link_up(self) -> None:
        """The link is there."""
        self.up = True

    def link_down(self) -> None:
        """The link is away: nothing is let through until it is there again."""
        self.up = False

    async def limited(self) -> str | None:
        """Why an interlock lets the robot not do this now; None when it does, and for what moves nothing."""
        if not self._settings.moves:
            return None
        try:
            limit = await self._admission.limit()
        except (*OUTAGE, Unavailable) as error:
            return f"an interlock cannot be asked: {error}"
        return None if limit is None else limit.reason

    def _subject(self, agent: str) -> dict[str, Any]:
        return {
            "bridge_id": self._bridge,
            "robot_id": self._settings.robot,
            "kind": self._kind,
            "topic": self.name,
            "type": self._settings.type,
            "agent_id": agent,
        }


class ServiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a service answered."""

    rule_id: Annotated[str | None, Meta(description="The rule that let the call through; null when none matched.")]
    answer: Annotated[dict[str, Any], Meta(description="The answer, by the fields of the service's type.")]
    seconds: Annotated[float, Meta(description="How long it took.")]


class ServiceGate(CallGate):
    """The gate of one service of one link."""

    def __init__(
        self,
        bridge: str,
        name: str,
        settings: ServiceSettings,
        link: Link,
        guard: EffectGuard | None,
        announce: Announce,
        interlocks: Sequence[MotionInterlock] = (),
    ) -> None:
        admission = Admission(CALL, name, settings.robot, settings.most_hz, guard, interlocks)
        super().__init__(bridge, "service", name, settings, admission, announce)
        self._seconds = settings.timeout_seconds
        self._link = link

    async def call(self, agent: str, request: Mapping[str, Any]) -> ServiceAnswer:
        """Call it once, and wait for the answer.

        Raises what it was refused with: nothing was sent then. Conflict when the robot says that it failed, Unavailable
        when no answer came: then nobody knows whether it was done.
        """
        rule_id = await self.admit(agent, request)
        began = asyncio.get_running_loop().time()
        answer: Mapping[str, Any] = {}
        outcome, words = "link_down", "the call was given up"
        try:
            outcome, words, answer = await self._asked(request)
        finally:
            seconds = asyncio.get_running_loop().time() - began
            self.counts[outcome] += 1
            why = redacted_text(words)[:_LONGEST]
            ended = {"outcome": outcome, "reason": why, "seconds": seconds, "answer": text_of(answer)}
            subject = self._subject(agent)
            subject = {"service": subject.pop("topic"), **subject}
            del subject["kind"]
            self._announce(SERVICE_ANSWERED, subject | ended)
        if outcome == "failed":
            raise Conflict(f"{self.name}: {words}")
        if outcome != "answered":
            known = "the link went down" if outcome == "link_down" else words
            raise NotNow(f"{self.name}: {known}; nobody knows whether it was done")
        return ServiceAnswer(rule_id=rule_id, answer=dict(answer), seconds=seconds)

    async def _asked(self, request: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]]:
        """The outcome, why, and the answer."""
        try:
            found = await self._link.call(self.name, self._settings.type, request, self._seconds)
        except TimeoutError:
            return "timeout", f"no answer within {self._seconds:g} s", {}
        except Unavailable as error:
            return "link_down", str(error), {}
        except InvalidInput as error:
            return "failed", str(error), {}
        return ("answered" if found.ok else "failed"), found.words, found.values


def args_hash(request: Mapping[str, Any]) -> str:
    """The first 16 digits of the SHA-256 of the request as JSON, its keys in order."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()[:16]


def text_of(answer: Mapping[str, Any]) -> str:
    """The answer as JSON for an event, without secrets, cut off where it is long; empty when there is none."""
    return msgspec.json.encode(redacted(answer)).decode()[:_LONGEST] if answer else ""
