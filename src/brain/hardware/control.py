"""One robot: its commands go one after the other, its stop goes at once, and without commands it is stopped.

The path of a stop has nothing in common with that of commands: it waits for no queue, no database, no rule and no
movement that the driver is about to send. What it overtakes is given up, and the stop is sent once more after it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from math import hypot, isfinite
from typing import Any

import sqlalchemy as sa

from brain.errors import BrainError, Conflict, InvalidInput, Unavailable
from brain.hardware.drivers import Driver
from brain.hardware.models import MOVE, CommandResult, Movement, Refusal, RefusalCode, RobotCommand, StopReason, refusal
from brain.hardware.records import RobotRecords, Sent, stopped_error
from brain.hardware.refusals import RefusalLog
from brain.hardware.settings import RobotSettings
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.protocols import EffectGuard, MotionInterlock, required_guard
from brain.logs import Log
from brain.stream.retry import Backoff

log: Log = Log("brain.hardware")


@dataclass
class ControlParts:
    """What all robots share. `guard` decides on movements; without one none is let through."""

    database: sa.Engine
    records: RobotRecords
    guard: EffectGuard | None
    clock: Callable[[], float]
    refusals: RefusalLog
    interlocks: Sequence[MotionInterlock] = ()
    """What limits movements besides the rules."""
    counts: Counter[str] = field(default_factory=Counter)
    """Since the start: commands by state, stops, stops that did not reach their robot at once, deadman stops."""
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it beside everything else; `background` has it until it ends."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task

    async def write(self, change: Callable[[], object]) -> None:
        """Make a change in the database, again and again until it answers: what happened must be recorded."""
        backoff = Backoff(0.05, 5.0)
        while True:
            try:
                await for_tasks(self.database, change)
                return
            except OUTAGE as error:
                self.counts["database_errors"] += 1
                log.warning("a robot's record waits for the database", error=str(error))
                await asyncio.sleep(backoff.next_delay())


@dataclass(frozen=True)
class _Waiting:
    command: RobotCommand
    result: asyncio.Future[CommandResult]
    admitted: bool
    """Whether its lease was checked when it was given."""
    context: Context = field(default_factory=copy_context, compare=False)
    """Of whoever asked for it."""


class RobotControl:
    """A robot and its driver in this process."""

    def __init__(self, robot: str, settings: RobotSettings, driver: Driver[Any], parts: ControlParts) -> None:
        self.robot = robot
        self.settings = settings
        self.driver = driver
        self.stopped: bool = False
        """Whether an emergency stop holds, as far as this process knows."""
        self.driven: bool = False
        """Whether this process has begun to drive it: what ends that is seen here, and stops it here."""
        self.unrecorded: int = 0
        """Emergency stops of this process that the database does not have yet."""
        self._parts = parts
        self._waiting: deque[_Waiting] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._sending: asyncio.Timeout | None = None
        self._sent = asyncio.Event()
        self._sent.set()  # no movement is being sent
        self._dropped = 0
        self._deadman: asyncio.TimerHandle | None = None
        self._movement: Movement | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def moving(self) -> Movement | None:
        """The movement that it goes on with, as far as this process knows."""
        return self._movement

    @property
    def waiting(self) -> int:
        """Commands that wait."""
        return len(self._waiting)

    # commands

    async def command(self, command: RobotCommand) -> CommandResult:
        """Send it when its turn comes; what became of it. Raises what it was refused with."""
        try:
            result = await self._accepted(command)
            return await result
        except Refusal as refused:
            await self._parts.refusals.note(command, refused)
            raise refused.answer from None

    async def _accepted(self, command: RobotCommand) -> asyncio.Future[CommandResult]:
        """The place in the queue. Raises Refusal."""
        check_bounds(command, self.settings)
        if self.stopped:
            await self._look_whether_stopped()
        waits = self._sender is not None
        if waits:  # what has no right to wait would keep others from their turn
            await self._ask(self._parts.records.look, command)
            await self._decide(command)
        if len(self._waiting) >= self.settings.queue:
            error = Unavailable(f"robot {self.robot}: {len(self._waiting)} commands wait, which is the most; slow down")
            raise refusal(RefusalCode.QUEUE_FULL, error)
        result: asyncio.Future[CommandResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(command, result, waits))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_waiting())
        return result

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                if self.stopped:
                    self._drop()
                    return
                one = self._waiting.popleft()
                if one.result.done():
                    continue  # whoever asked for it is gone
                try:
                    result = await asyncio.create_task(self._send(one.command), context=one.context)  # events say whose
                except Refusal as refused:
                    if one.admitted and refused.code is RefusalCode.NO_LEASE:
                        refused.code = RefusalCode.LEASE_ENDED
                    _fail(one.result, refused)
                except Exception as error:  # noqa: BLE001  (raised where the command was given)
                    _fail(one.result, error)
                else:
                    if not one.result.done():
                        one.result.set_result(result)
        finally:
            self._sender = None
            if self._waiting and not self.stopped:
                self._sender = asyncio.create_task(self._send_waiting())

    async def _send(self, command: RobotCommand) -> CommandResult:
        """Check everything once more, the rules last, and send it: nothing happens between their yes and the driver."""
        self._check_time(command)
        seq = await self._ask(self._parts.records.begin, command)
        self.driven = True
        rule_id = await self._decide(command)
        self._check_time(command)
        loop, started, sent_at = asyncio.get_running_loop(), asyncio.get_running_loop().time(), self._parts.clock()
        fault = await self._give(command, seq)
        seconds = loop.time() - started
        if fault:
            self._parts.counts["timeouts"] += 1
            await self.halt(StopReason.TIMEOUT)
        else:
            self._parts.counts["acked"] += 1
            if self._stopping is not None:  # a stop of before, which it had not taken
                self._stopping.cancel()
        sent = Sent(seq=seq, rule_id=rule_id, sent_at=sent_at, seconds=seconds, fault=fault)
        result: CommandResult = await self._ask(self._parts.records.finish, command, sent)
        return result

    async def _give(self, command: RobotCommand, seq: int) -> str:
        """Give it to the driver; what went wrong, or nothing."""
        self._arm(command)
        self._sent.clear()
        try:
            async with asyncio.timeout(self.settings.timeout) as self._sending:
                await self.driver.send(command, seq)
        except TimeoutError:
            overtaken = "an emergency stop overtook it" if self.stopped else ""
            return overtaken or f"the robot did not answer within {self.settings.timeout:g} s"
        except Exception as error:  # noqa: BLE001  (whatever a driver raises: the robot may move, and is stopped)
            words = f"{type(error).__name__}: {error}"
            log.warning("a driver could not send a movement", robot=self.robot, error=words)
            return words
        finally:
            self._sending = None
            self._sent.set()
        return ""

    def _check_time(self, command: RobotCommand) -> None:
        if self.stopped:
            raise refusal(RefusalCode.STOPPED, stopped_error(self.robot, "given in this process"))
        waited = self._parts.clock() - command.asked_at
        if waited > self.settings.command_ttl:
            words = f"the command waited {waited:.1f} s, and may not for more than {self.settings.command_ttl:g} s"
            raise refusal(RefusalCode.EXPIRED, Conflict(f"robot {self.robot}: {words}; send a new one"))

    async def _decide(self, command: RobotCommand) -> str | None:
        """The rule that lets it through. Raises Refusal."""
        movement = command.movement
        params = {
            "linear_x": movement.linear_x,
            "linear_y": movement.linear_y,
            "angular_z": movement.angular_z,
            "speed": hypot(movement.linear_x, movement.linear_y),
        }
        await self._check_interlocks(params["speed"], movement.moves)
        try:
            guard = required_guard(self._parts.guard, MOVE)
            return (await guard.check(command.agent, MOVE, self.robot, params)).rule_id
        except Unavailable as error:
            raise refusal(RefusalCode.UNAVAILABLE, error) from error
        except BrainError as error:
            raise refusal(RefusalCode.DENIED, error) from error

    async def _check_interlocks(self, speed: float, moves: bool) -> None:
        """Raises Refusal for a movement that is faster than an interlock lets this robot go; at 0 it may not turn."""
        for interlock in self._parts.interlocks:
            try:
                limit = await interlock.limit(self.robot)
            except (*OUTAGE, Unavailable) as error:
                raise refusal(RefusalCode.UNAVAILABLE, Unavailable(f"robot {self.robot}: {error}")) from error
            if limit is not None and (speed > limit.most or (moves and not limit.most)):
                words = f"{limit.reason}: it may go at {limit.most:g} m/s at most, and this is {speed:g}"
                raise refusal(RefusalCode.INTERLOCK, Conflict(words))

    async def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        """A call of the records. Raises Refusal when the database does not answer: nothing is sent without a record."""
        try:
            return await for_tasks(self._parts.database, question, *arguments)
        except OUTAGE as error:
            raise refusal(RefusalCode.UNAVAILABLE, Unavailable(f"robot {self.robot}: {error}")) from error

    async def _look_whether_stopped(self) -> None:
        """Another process may have cleared the stop. Raises Refusal while it holds."""
        if not self.unrecorded:
            holding = await self._ask(self._parts.records.stopped)
            if self.robot not in holding and not self.unrecorded:
                self.stopped = False
        if self.stopped:
            raise refusal(RefusalCode.STOPPED, stopped_error(self.robot, "given earlier"))

    # stops

    async def emergency_stop(self) -> tuple[bool, int]:
        """Stop it now, and let nothing through until `stopped` is False again.

        Whether the robot took it at once, and how many commands were dropped.
        """
        self.stopped = True
        self._parts.counts["emergency_stops"] += 1
        reached = await self.halt(StopReason.EMERGENCY)
        self._drop()
        dropped, self._dropped = self._dropped, 0
        return reached, dropped

    async def halt(self, reason: StopReason) -> bool:
        """Have the robot stand still; whether it took that at once. Else it is tried on until it does."""
        self._disarm()
        overtaken = self._sending
        reached = await self._stop_once(reason, overtaken)
        if overtaken is not None:
            await self._sent.wait()
            reached = await self._stop_once(reason, None)
        if not reached and self._stopping is None:
            self._stopping = self._parts.spawn(self._stop_until_reached(reason))
        return reached

    async def _stop_once(self, reason: StopReason, overtaken: asyncio.Timeout | None) -> bool:
        stop = self.driver.stop(reason)
        try:
            async with asyncio.timeout(self.settings.timeout):
                if overtaken is not None and not overtaken.expired():
                    overtaken.reschedule(asyncio.get_running_loop().time())  # takes effect once this call waits
                await stop
        except Exception as error:  # noqa: BLE001  (whatever a driver raises: it is logged, counted and tried again)
            self._parts.counts["stops_not_reached"] += 1
            words = f"{type(error).__name__}: {error}"
            log.error("a robot did not take a stop; it is tried on", robot=self.robot, reason=reason.value, error=words)
            return False
        return True

    async def _stop_until_reached(self, reason: StopReason) -> None:
        backoff = Backoff(0.05, 1.0)
        try:
            reached = False
            while not reached:
                await asyncio.sleep(backoff.next_delay())
                reached = await self._stop_once(reason, None)
            log.info("a robot took the stop that it had not taken at first", robot=self.robot)
            await self._parts.write(lambda: self._parts.records.stood_still(self.robot, reason, 0.0, True))
        finally:
            self._stopping = None

    def _drop(self) -> None:
        """Refuse what waits: a stop came. Its event says how many."""
        while self._waiting:
            one = self._waiting.popleft()
            self._dropped += 1
            _fail(one.result, stopped_error(self.robot, "given while it waited"))

    # the deadman

    def _arm(self, command: RobotCommand) -> None:
        self._disarm()
        if command.movement.moves:
            self._movement = command.movement
            seconds = self.settings.deadman_seconds
            self._deadman = asyncio.get_running_loop().call_later(seconds, self._deadman_fired)

    def _disarm(self) -> None:
        if self._deadman is not None:
            self._deadman.cancel()
            self._deadman = None
        self._movement = None

    def _deadman_fired(self) -> None:
        self._deadman = self._movement = None
        self._parts.spawn(self._stop_as_deadman())

    async def _stop_as_deadman(self) -> None:
        self._parts.counts["deadman_stops"] += 1
        reached = await self.halt(StopReason.DEADMAN)
        after = self.settings.deadman_seconds
        await self._parts.write(lambda: self._parts.records.stood_still(self.robot, StopReason.DEADMAN, after, reached))

    async def close(self) -> None:
        """Stop the robot if it moves, and let go of it."""
        moving, self.stopped = self._deadman is not None, True
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if moving:
            reached = await self.halt(StopReason.RESTART)
            await self._parts.write(
                lambda: self._parts.records.stood_still(self.robot, StopReason.RESTART, 0.0, reached)
            )
        self._drop()
        self._disarm()


def check_bounds(command: RobotCommand, settings: RobotSettings) -> None:
    """Raises Refusal for a movement that the robot's settings do not permit; each fault names its field.

    Raises InvalidInput for what is no number: no event could say what it was.
    """
    faults = []
    for name in ("linear_x", "linear_y", "angular_z"):
        value, most = getattr(command.movement, name), getattr(settings, f"max_{name}")
        if not isfinite(value):
            raise InvalidInput(f"{name}: {value} is no speed; give a number")
        if abs(value) > most:
            faults.append(f"{name}: {value:g} is beyond the {most:g} that robot {command.robot} may do")
    if faults:
        raise refusal(RefusalCode.BOUNDS, InvalidInput(f"robot {command.robot}: {'; '.join(faults)}", faults))


def _fail(result: asyncio.Future[CommandResult], error: Exception) -> None:
    if not result.done():
        result.set_exception(error)
