"""Robots in the database: leases, numbers of commands, stops, and what became of each command, with their events.

Each method is one transaction, and blocks. Each raises Unavailable when the database does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from brain.errors import Conflict
from brain.hardware.events import (
    COMMAND_ACKED,
    COMMAND_REFUSED,
    COMMAND_SENT,
    COMMAND_TIMEOUT,
    DEADMAN_STOPPED,
    EMERGENCY_CLEARED,
    EMERGENCY_STOP,
    INTERLOCK_STOPPED,
    CommandPayload,
)
from brain.hardware.leases import RobotLeases
from brain.hardware.models import (
    CONSUMER,
    CommandResult,
    CommandState,
    RefusalCode,
    RobotCommand,
    StopReason,
    refusal,
)
from brain.hardware.reports import hijack
from brain.hardware.tables import COMMANDS, ROBOTS, make_tables
from brain.kit.database import reachable, reading
from brain.kit.idempotency import content_digest, other_content
from brain.kit.leases import Lease
from brain.kit.outbox import put_event, put_threat
from brain.kit.protocols import MotionLimit
from brain.kit.sql import insert_missing

REASON_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A command that was given to its driver, and how that ended; `fault` is empty when the robot took it."""

    seq: int
    rule_id: str | None
    sent_at: float
    seconds: float
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Stop:
    """An emergency stop of some robots; `scope` is the robot's name or `all`."""

    robots: Sequence[str]
    scope: str
    by: str
    reason: str
    at: float
    dropped: int = 0
    not_reached: Sequence[str] = ()


class RobotRecords:
    """What is known of robots. `clock` gives Unix seconds."""

    def __init__(
        self,
        database: sa.Engine,
        clock: Callable[[], float],
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._leases = RobotLeases(clock)

    # leases

    def acquire(self, robot: str, agent: str) -> Lease:
        """Let the agent drive. Raises Conflict while another one does, and during an emergency stop."""
        with self._change() as db:
            if self._stopped(db, robot) is not None:
                raise Conflict(f"robot {robot}: an emergency stop holds; clear it first (brain hardware clear)")
            return self._leases.acquire(db, robot, agent, self._lease_seconds)

    def renew(self, robot: str, agent: str, token: int) -> Lease:
        """Prolong the lease. Raises LeaseLost."""
        with self._change() as db:
            return self._leases.renew(db, robot, agent, token, self._lease_seconds)

    def release(self, robot: str, agent: str, token: int) -> None:
        """Give the lease back. Raises LeaseLost."""
        with self._change() as db:
            self._leases.release(db, robot, agent, token)

    def lapse(self) -> list[str]:
        """Announce the leases that ran out; their robots."""
        with self._change() as db:
            return self._leases.lapse(db)

    def revoke(self, agents: Sequence[str]) -> list[str]:
        """End every lease of these agents, who are contained; their robots."""
        with self._change() as db:
            return self._leases.revoke(db, agents, "contained")

    def held(self) -> dict[str, Lease]:
        """The lease of each robot that has one now."""
        with self._view() as db:
            return {lease.name: lease for lease in self._leases.held(db)}

    # commands

    def look(self, command: RobotCommand) -> None:
        """Check lease and stop of a command that has to wait. Raises Refusal."""
        with self._change() as db:
            self._leases.admit(db, command, self._lease_seconds)
            self._refuse_stopped(db, command.robot)

    def begin(self, command: RobotCommand) -> int:
        """The command's number, now that its lease and no stop holds: about to be sent. Raises Refusal."""
        with self._change() as db:
            self._leases.admit(db, command, self._lease_seconds)
            self._ensure(db, [command.robot])
            values = {"seq": ROBOTS.c.seq + 1} | ({"moving": True} if command.movement.moves else {})
            free = sa.and_(ROBOTS.c.robot == command.robot, ROBOTS.c.stopped_at.is_(None))
            seq = db.execute(ROBOTS.update().where(free).values(values).returning(ROBOTS.c.seq)).scalar()
            if seq is None:
                self._refuse_stopped(db, command.robot)
            assert seq is not None
            return int(seq)

    def finish(self, command: RobotCommand, sent: Sent) -> CommandResult:
        """Record a command that was sent, and announce it."""
        state = CommandState.TIMEOUT if sent.fault else CommandState.ACKED
        with self._change() as db:
            result = self._keep(db, command, state, sent.fault, sent.seq)
            sent_event = COMMAND_SENT.event(
                {
                    **_payload(command),
                    "lease_id": command.lease_id,
                    "seq": sent.seq,
                    "rule_id": sent.rule_id,
                    "sent_at": sent.sent_at,
                }
            )
            put_event(db, CONSUMER, sent_event, self._clock())
            known = {"robot_id": command.robot, "command_id": command.id, "seq": sent.seq}
            outcome = (
                COMMAND_TIMEOUT.event({**known, "reason": sent.fault})
                if sent.fault
                else COMMAND_ACKED.event({**known, "seconds": sent.seconds})
            )
            put_event(db, CONSUMER, outcome, self._clock())
            if not sent.fault and not command.movement.moves:
                self._set_moving(db, command.robot, False)
        return result

    def refuse(self, command: RobotCommand, code: RefusalCode, reason: str, count: int) -> CommandResult:
        """Record a command that was not sent, and announce it; `count` is how many the event stands for."""
        with self._change() as db:
            result = self._keep(db, command, CommandState.REFUSED, f"{code.value}: {reason}", None)
            said = {"code": code.value, "reason": reason[:REASON_CHARACTERS], "count": count}
            put_event(db, CONSUMER, COMMAND_REFUSED.event({**_payload(command), **said}), self._clock())
            if code is RefusalCode.NO_LEASE:
                report = hijack(command.agent, command.robot, command.id, reason)
                put_threat(db, CONSUMER, report, self._clock())
        return result

    def find(self, id: str, content: str) -> CommandResult | None:
        """What became of the command of that id. Raises Conflict when it was of other content."""
        with self._view() as db:
            row = db.execute(sa.select(COMMANDS).where(COMMANDS.c.id == id)).one_or_none()
        if row is not None and row.content != content:
            raise other_content(f"command {id}")
        return None if row is None else _result(row)

    def list_commands(self, robot: str, limit: int) -> list[CommandResult]:
        """The last commands to a robot, the latest first."""
        query = sa.select(COMMANDS).where(COMMANDS.c.robot == robot).order_by(COMMANDS.c.at.desc()).limit(limit)
        with self._view() as db:
            return [_result(row) for row in db.execute(query)]

    def prune(self, before: float) -> None:
        """Forget the commands of before that time."""
        with self._change() as db:
            db.execute(COMMANDS.delete().where(COMMANDS.c.at < before))

    # stops

    def stop(self, stop: Stop) -> None:
        """Let the stop hold from now on, also for other processes, and announce it."""
        with self._change() as db:
            self._ensure(db, stop.robots)
            mine = ROBOTS.c.robot.in_(stop.robots)
            values = {
                "stopped_at": sa.func.coalesce(ROBOTS.c.stopped_at, stop.at),
                "stopped_by": stop.by,
                "stop_reason": stop.reason,
            }
            db.execute(ROBOTS.update().where(mine).values(values))
            reached = [robot for robot in stop.robots if robot not in stop.not_reached]
            db.execute(ROBOTS.update().where(ROBOTS.c.robot.in_(reached)).values(moving=False))
            said = {"robot_id": stop.scope, "by": stop.by, "reason": stop.reason, "dropped": stop.dropped}
            event = EMERGENCY_STOP.event({**said, "not_reached": [*stop.not_reached]})
            put_event(db, CONSUMER, event, self._clock())

    def clear(self, robots: Sequence[str], by: str, reason: str) -> list[str]:
        """End the stops of these robots; those that were stopped."""
        with self._change() as db:
            held = sa.and_(ROBOTS.c.robot.in_(robots), ROBOTS.c.stopped_at.is_not(None))
            rows = db.execute(sa.select(ROBOTS).where(held).with_for_update().order_by(ROBOTS.c.robot)).all()
            db.execute(ROBOTS.update().where(held).values(stopped_at=None, stopped_by=None, stop_reason=None))
            for row in rows:
                lasted = max(0.0, self._clock() - row.stopped_at)
                payload = {"robot_id": row.robot, "by": by, "reason": reason, "stopped_for": lasted}
                put_event(db, CONSUMER, EMERGENCY_CLEARED.event(payload), self._clock())
        return [row.robot for row in rows]

    def stopped(self) -> dict[str, tuple[float, str, str]]:
        """The robots that an emergency stop holds: since when, by whom, and why."""
        with self._view() as db:
            rows = db.execute(sa.select(ROBOTS).where(ROBOTS.c.stopped_at.is_not(None))).all()
        return {row.robot: (row.stopped_at, row.stopped_by, row.stop_reason) for row in rows}

    def moving(self) -> list[str]:
        """The robots that were sent a movement, and no stop since that is recorded."""
        with self._view() as db:
            return list(db.execute(sa.select(ROBOTS.c.robot).where(ROBOTS.c.moving)).scalars())

    def stood_still(self, robot: str, reason: StopReason, after: float, reached: bool) -> None:
        """Record that a robot was stopped; a deadman, and a stop after a restart, are announced."""
        with self._change() as db:
            if reached:
                self._set_moving(db, robot, False)
            if reason in (StopReason.DEADMAN, StopReason.RESTART):
                payload = {"robot_id": robot, "after_seconds": after, "reached": reached}
                put_event(db, CONSUMER, DEADMAN_STOPPED.event(payload), self._clock())

    def interlocked(self, robot: str, limit: MotionLimit, speed: float, reached: bool) -> None:
        """Record that a robot was stopped, as it went faster than an interlock lets it, and announce that."""
        with self._change() as db:
            if reached:
                self._set_moving(db, robot, False)
            payload = {"robot_id": robot, "reason": limit.reason, "most": limit.most, "speed": speed}
            put_event(db, CONSUMER, INTERLOCK_STOPPED.event(payload | {"reached": reached}), self._clock())

    # inside transactions

    @contextmanager
    def _change(self) -> Iterator[sa.Connection]:
        make_tables(self._database)
        with reachable(self._database), self._database.begin() as db:
            yield db

    @contextmanager
    def _view(self) -> Iterator[sa.Connection]:
        make_tables(self._database)
        with reachable(self._database), reading(self._database).begin() as db:
            yield db

    def _ensure(self, db: sa.Connection, robots: Sequence[str]) -> None:
        insert_missing(db, ROBOTS, [{"robot": robot, "seq": 0, "moving": False} for robot in robots])

    def _stopped(self, db: sa.Connection, robot: str) -> Any:
        query = sa.select(ROBOTS.c.stopped_at, ROBOTS.c.stopped_by, ROBOTS.c.stop_reason)
        return db.execute(query.where(ROBOTS.c.robot == robot, ROBOTS.c.stopped_at.is_not(None))).one_or_none()

    def _refuse_stopped(self, db: sa.Connection, robot: str) -> None:
        if (row := self._stopped(db, robot)) is not None:
            raise refusal(RefusalCode.STOPPED, stopped_error(robot, f"by {row.stopped_by}: {row.stop_reason}"))

    def _set_moving(self, db: sa.Connection, robot: str, moving: bool) -> None:
        db.execute(ROBOTS.update().where(ROBOTS.c.robot == robot).values(moving=moving))

    def _keep(
        self, db: sa.Connection, command: RobotCommand, state: CommandState, reason: str, seq: int | None
    ) -> CommandResult:
        movement = command.movement
        row: dict[str, Any] = {
            "id": command.id,
            "robot": command.robot,
            "agent": command.agent,
            "content": content_of(command),
            "state": state.value,
            "reason": reason[:REASON_CHARACTERS],
            "seq": seq,
            "linear_x": movement.linear_x,
            "linear_y": movement.linear_y,
            "angular_z": movement.angular_z,
            "at": self._clock(),
        }
        insert_missing(db, COMMANDS, [row])
        return CommandResult(**{name: value for name, value in row.items() if name != "content"})


def content_of(command: RobotCommand) -> str:
    """What tells whether two requests ask for the same command."""
    movement = command.movement
    return content_digest(
        command.robot, command.agent, command.token, movement.linear_x, movement.linear_y, movement.angular_z
    )


def stopped_error(robot: str, words: str) -> Conflict:
    """The error of a command to a robot that an emergency stop holds."""
    return Conflict(f"robot {robot}: an emergency stop holds ({words}); clear it first (brain hardware clear)")


def _payload(command: RobotCommand) -> CommandPayload:
    movement = command.movement
    return {
        "robot_id": command.robot,
        "command_id": command.id,
        "agent_id": command.agent,
        "command_type": "move",
        "command": {
            "linear_x": movement.linear_x,
            "linear_y": movement.linear_y,
            "angular_z": movement.angular_z,
        },
    }


def _result(row: sa.Row[Any]) -> CommandResult:
    return CommandResult(**{name: value for name, value in row._mapping.items() if name != "content"})
