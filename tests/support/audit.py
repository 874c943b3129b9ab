"""Audit logs for tests: made quickly, with the parts of the package and without a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain import Event
from brain.audit.keys import LogKeys
from brain.audit.open import key_path, projector_with
from brain.audit.projector import AuditProjector
from brain.audit.settings import AuditSettings
from brain.kit.projection import Item
from support.clock import Clock

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ORIGIN = "example.com/audit-of-tests"


def projector_with_key(
    database: sa.Engine,
    key: Ed25519PrivateKey,
    settings: AuditSettings,
    clock: Callable[[], float],
    local_checkpoint: Path | None = None,
) -> AuditProjector:
    """The projector of the log, with a key that is in no file."""
    path = key_path(database, settings)
    return projector_with(database, lambda: LogKeys((key,)), path, settings, clock, local_checkpoint)


def record(event: Event | None, data: bytes | None = None) -> Item:
    return Item("", data if data is not None else event.encode() if event else b"no event", event)


def denial(number: int, **meta: object) -> Event:
    """A denied action of one of five agents; its id tells its number."""
    return Event(
        id=f"evt_policy_{1_703_000_000_000 + number}_{number:016x}",
        type="policy.action_denied",
        source="policy_service",
        timestamp=1_703_000_000.0 + number,
        payload={"agent_id": f"agent-{number % 5}", "action": "delete", "resource": f"db/{number}"},
        meta={"correlation_id": f"story-{number // 10}", "version": "1.0", **meta},
    )


def filled(database: sa.Engine, sizes: Iterable[int], clock: Clock | None = None, first: int = 0) -> AuditProjector:
    """A log to which batches of these sizes are appended, an hour apart; every 17th record is no event."""
    clock = clock or Clock()
    log = projector_with_key(database, KEY, AuditSettings(origin=ORIGIN), clock)
    for size in sizes:
        append(database, log, records(first, size))
        first += size
        clock.advance(3600)
    return log


def records(first: int, count: int) -> list[Item]:
    return [
        record(None, b"{not json %d" % number) if number % 17 == 16 else record(denial(number))
        for number in range(first, first + count)
    ]


def append(database: sa.Engine, log: AuditProjector, batch: Sequence[Item]) -> None:
    with database.begin() as connection:
        log.apply(connection, batch)
    log.committed()
