"""Who drives a robot: leases in the database, each change of holder with its event in the same write."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import sqlalchemy as sa

from brain.errors import Conflict
from brain.hardware.events import LEASE_CHANGED
from brain.hardware.models import CONSUMER, RefusalCode, RobotCommand, lease_id, refusal
from brain.kit.leases import Lease, LeaseLost, Leases
from brain.kit.outbox import put_event

KIND = "robot"


class RobotLeases:
    """The leases of robots. Every method runs in the caller's transaction. `clock` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._leases = Leases(KIND, clock)
        self._clock = clock

    def acquire(self, db: sa.Connection, robot: str, agent: str, seconds: float) -> Lease:
        """Let the agent drive, under a new token. Raises Conflict while another one does."""
        lease = self._leases.acquire(db, robot, agent, seconds)
        if lease is None:
            held = self._leases.find(db, robot)
            whose = "another agent" if held is None else held.holder
            raise Conflict(f"robot {robot}: {whose} has the lease; wait until it is given back or runs out")
        self._announce(db, lease, lease.holder, "acquired")
        return lease

    def renew(self, db: sa.Connection, robot: str, agent: str, token: int, seconds: float) -> Lease:
        """Prolong the lease. Raises LeaseLost."""
        self._check(db, robot, agent, token)
        return self._leases.renew(db, robot, token, seconds)

    def release(self, db: sa.Connection, robot: str, agent: str, token: int) -> Lease:
        """Give the lease back. Raises LeaseLost."""
        self._check(db, robot, agent, token)
        lease = self._leases.release(db, robot, token)
        self._announce(db, lease, None, "released")
        return lease

    def admit(self, db: sa.Connection, command: RobotCommand, seconds: float) -> None:
        """Prolong the lease that the command shows. Raises Refusal when it is not the agent's, or over."""
        try:
            self.renew(db, command.robot, command.agent, command.token, seconds)
        except LeaseLost as error:
            raise refusal(RefusalCode.NO_LEASE, error) from error

    def revoke(self, db: sa.Connection, agents: Iterable[str], reason: str) -> list[str]:
        """End every lease of these agents; the robots that they drove."""
        robots = []
        for agent in agents:
            for lease in self._leases.revoke(db, agent):
                self._announce(db, lease, None, reason)
                robots.append(lease.name)
        return robots

    def lapse(self, db: sa.Connection) -> list[str]:
        """Announce the leases that ran out, each once; the robots."""
        ended = self._leases.lapse(db)
        for lease in ended:
            self._announce(db, lease, None, "expired")
        return [lease.name for lease in ended]

    def held(self, db: sa.Connection) -> list[Lease]:
        """All that somebody holds now."""
        return self._leases.held(db)

    def _check(self, db: sa.Connection, robot: str, agent: str, token: int) -> None:
        """Raises LeaseLost unless the token proves a lease of this agent."""
        held = self._leases.check(db, robot, token)
        if held.holder != agent:
            raise LeaseLost(f"robot {robot}: the lease is that of {held.holder}; acquire one of your own")

    def _announce(self, db: sa.Connection, lease: Lease, holder: str | None, reason: str) -> None:
        event = LEASE_CHANGED.event(
            {
                "robot_id": lease.name,
                "holder": holder,
                "lease_id": lease_id(lease.name, lease.token),
                "until": None if holder is None else lease.until,
                "reason": reason,
            }
        )
        put_event(db, CONSUMER, event, self._clock())
