"""The audit log at a million entries: appending, verifying, proving: `python -m bench.audit [COUNT]`."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain import Event, EventStream
from brain.audit import proofs
from brain.audit.keys import LogKeys
from brain.audit.open import projector_with
from brain.audit.projector import AuditProjector
from brain.audit.settings import AuditSettings
from brain.audit.tables import entries
from brain.audit.verify import verify
from brain.kit.database import open_database, reading
from brain.kit.projection import Item, Projection
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import open_store

COUNT = 1_000_000
BATCH = 1_000
_THROUGH = 100_000
_PROOFS = 200


def _new_log(database: sa.Engine) -> AuditProjector:
    keys = LogKeys((Ed25519PrivateKey.generate(),))
    return projector_with(database, lambda: keys, Path(), AuditSettings(), time.time, None)


def run(count: int = COUNT) -> list[dict[str, Any]]:
    """One row for each figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = open_database(f"sqlite:///{folder / 'audit.db'}")
        log = _new_log(database)
        ids, appended = _append(database, log, count)
        rows = [_row("append, in batches of 1,000", appended, "/s", "")]
        started = time.process_time()
        report = verify(database, log.signer, progress=_show)
        processor = time.process_time() - started
        assert report.ok, report
        rows.append(_row(f"verify {count:,} entries", report.seconds, "s", "60 s for 1,000,000"))
        rows.append(_row("  of which processor time", processor, "s", ""))
        rows.append(_row("verify", count / report.seconds, "/s", ""))
        public = verify(database, log.signer.verifier)
        rows.append(_row("verify, public key alone", count / public.seconds, "/s", ""))
        rows.append(_row("prove an event", _median(lambda event_id: proofs.prove(database, event_id), ids), "ms", ""))
        file = proofs.encode(proofs.prove(database, ids[len(ids) // 2]))
        checked = _median(lambda _: proofs.check(file, log.signer.verifier), ids)
        rows.append(_row(f"check a proof ({len(file):,} bytes)", checked, "ms", ""))
        size = os.path.getsize(folder / "audit.db")
        rows.append(_row("on the disk", size / count, "bytes an entry", ""))
        database.dispose()
        rows.append(_row("stream to log, by the consumer", asyncio.run(_through(folder)), "/s", ""))
    return rows


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    value = f"{row['ours']:,.2f}" if row["ours"] < 1000 else f"{row['ours']:,.0f}"
    budget = f"; budget {row['budget']}" if row["budget"] else ""
    return f"{row['what']:<34} {value:>10} {row['unit']}{budget}"


def main() -> None:
    """Print the table."""
    for row in run(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT):
        print(line(row))


def _row(what: str, ours: float, unit: str, budget: str) -> dict[str, Any]:
    return {"bench": "audit", "what": what, "ours": ours, "unit": unit, "budget": budget}


def _append(database: sa.Engine, log: AuditProjector, count: int) -> tuple[list[str], float]:
    """Some of the ids, and how many a second; making the events is not counted."""
    ids: list[str] = []
    taken = 0.0
    for first in range(0, count, BATCH):
        batch = [Item("", event.encode(), event) for event in _events(first, min(BATCH, count - first))]
        started = time.perf_counter()
        with database.begin() as connection:
            log.apply(connection, batch)
        taken += time.perf_counter() - started
        if len(ids) < _PROOFS or first % (count // 10 or 1) == 0:
            ids.append(batch[0].event.id if batch[0].event else "")
    return ids, count / taken


def _events(first: int, count: int) -> Sequence[Event]:
    payload = {
        "agent_role": "guest",
        "action": "delete",
        "resource": "db/customers",
        "environment": {"zone": "eu-1"},
        "rule_id": "guests-delete",
        "effect": "DENY",
        "allowed": False,
        "reason": "denied by rule 'Guests may not delete' (guests-delete, priority 100)",
    }
    return [
        Event(
            type="policy.rule_evaluated",
            source="policy_service",
            payload={**payload, "agent_id": f"agent-{n % 100}", "params": {"rows": n}},
            meta={"correlation_id": f"story-{n // 20}", "version": "1.0"},
        )
        for n in range(first, first + count)
    ]


def _median(ask: Callable[[str], object], ids: Sequence[str]) -> float:
    """Milliseconds."""
    taken = []
    for event_id in ids:
        started = time.perf_counter()
        ask(event_id)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


async def _through(folder: Path) -> float:
    """Events a second from a full stream to the log, through the projection."""
    database = open_database(f"sqlite:///{folder / 'through.db'}")
    log = _new_log(database)
    async with EventStream.open(f"sqlite:///{folder}/b.db") as stream:
        for event in _events(0, _THROUGH):
            receipt = stream.publish(event)
        await receipt
        context = PluginContext(stream, open_store("memory://"), database, Settings(stream="memory://"))
        started = time.perf_counter()
        task = asyncio.create_task(Projection(context, "audit", log.apply).run())
        last = sa.select(sa.func.max(entries.c.idx))
        while True:
            with reading(database).connect() as connection:
                if connection.scalar(last) == _THROUGH - 1:
                    break
            await asyncio.sleep(0.05)
        rate = _THROUGH / (time.perf_counter() - started)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    database.dispose()
    return rate


def _show(done: int, total: int) -> None:
    if done % 200_000 == 0:
        print(f"  {done:,} of {total:,} verified", file=sys.stderr)


if __name__ == "__main__":
    main()
