"""What is asked before anything is sent to a robot: bounds, type, rate, containment, interlocks, and the rules last."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from brain.errors import BrainError, InvalidInput, NotNow, Unavailable
from brain.kit.protocols import EffectGuard, MotionInterlock, MotionLimit, required_guard
from brain.ros2_bridge.bounds import fault_of


class NotAdmitted(Exception):
    """Something is not sent. `code` is that of `ros2.command_refused`, `error` what its caller gets."""

    def __init__(self, code: str, error: BrainError) -> None:
        super().__init__(code, error)
        self.code = code
        self.error = error

    def __str__(self) -> str:
        return str(self.error)


class Admission:
    """What holds for one topic, service or action of one robot. `action` is what the rules decide on."""

    def __init__(
        self,
        action: str,
        name: str,
        robot: str,
        most_hz: float,
        guard: EffectGuard | None,
        interlocks: Sequence[MotionInterlock],
    ) -> None:
        self._action = action
        self._name = name
        self._robot = robot
        self._most_hz = most_hz
        self._guard = guard
        self._interlocks = interlocks
        self._times: deque[float] = deque()

    def check_form(self, type: str, message: Mapping[str, Any], bounds: Mapping[str, float]) -> None:
        """Raises NotAdmitted for a number beyond its bound, and for what does not fit its type."""
        if (fault := fault_of(message, bounds)) is not None:
            raise NotAdmitted("bounds", InvalidInput(f"{self._name}: {fault}"))
        from brain.ros2_bridge.messages import check_fits  # needs the extra, which a server without links need not have

        try:
            check_fits(type, message)
        except InvalidInput as error:  # or MissingExtra
            raise NotAdmitted("message", error) from error

    def check_rate(self) -> None:
        """Raises NotAdmitted when too many came in the last second; else this one counts."""
        now = asyncio.get_running_loop().time()
        while self._times and self._times[0] <= now - 1.0:
            self._times.popleft()
        if len(self._times) >= self._most_hz:
            words = f"{self._name}: takes at most {self._most_hz:g} commands a second"
            raise NotAdmitted("rate", NotNow(words))
        self._times.append(now)

    async def is_contained(self) -> bool:
        """Whether the robot is contained now. Raises NotAdmitted when nobody can say."""
        if self._guard is None:
            return False
        try:
            return self._robot in await self._guard.contained()
        except Unavailable as error:
            raise NotAdmitted("unavailable", error) from error

    def contained(self) -> NotAdmitted:
        """What is raised for a contained robot."""
        return NotAdmitted("contained", NotNow(f"{self._name}: robot {self._robot} is contained"))

    async def limit(self) -> MotionLimit | None:
        """The least that the interlocks let the robot go now. Raises Unavailable, or what a database raises."""
        limits = [await interlock.limit(self._robot) for interlock in self._interlocks]
        return min((limit for limit in limits if limit is not None), key=lambda limit: limit.most, default=None)

    async def decided(self, agent: str, params: Mapping[str, Any]) -> str | None:
        """The rule that lets the agent do it. Raises NotAdmitted."""
        try:
            guard = required_guard(self._guard, self._action)
            return (await guard.check(agent, self._action, self._robot, params)).rule_id
        except Unavailable as error:
            raise NotAdmitted("unavailable", error) from error
        except BrainError as error:
            raise NotAdmitted("denied", error) from error
