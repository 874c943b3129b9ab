"""Completions of tasks a second, each answered after its sync of the disk, beside dbos.

Run by `python -m bench.missions [N [ROUNDS]]`.

Ours: N missions of ten tasks one after the other, leased and completed by agents of one process, each completion with
its event and its fencing token, in WAL with synchronous=FULL; the events are taken to a stream on SQLite meanwhile.
dbos: as many workflows of ten steps, as it is shipped (journal_mode=delete, synchronous=FULL), and set to WAL and FULL.
Its steps have neither events nor leases. All three take turns in processes of their own. Our agents are known and its
tables are made before the clock starts. CPU seconds are user and system, ours with all events on their way.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

STEPS = 10
ROUNDS = 3
AGENTS = 64
AT_ONCE = 32
KINDS = ("ours", "ours, policy asked", "dbos", "dbos, WAL")
DBOS_WORKFLOWS = 100


def run(missions: int = 1000, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One row for each kind."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    cpu: dict[str, list[float]] = {kind: [] for kind in KINDS}
    notes: dict[str, str] = {}
    for _ in range(rounds):
        for kind in KINDS:
            count = missions if kind.startswith("ours") else min(missions, DBOS_WORKFLOWS)
            done = subprocess.run(
                [sys.executable, "-m", "bench.missions", "--one", kind, str(count)],
                capture_output=True,
                text=True,
                check=True,
            )
            answer = json.loads(done.stdout.splitlines()[-1])
            found[kind].append(answer["rate"])
            cpu[kind].append(answer["cpu"])
            notes[kind] = answer["note"]
    ours = found["ours"]
    rows = []
    for kind, rates in found.items():
        ratios = [mine / theirs for mine, theirs in zip(ours, rates, strict=True)]
        rows.append(
            {
                "what": kind,
                "rates": rates,
                "ratio": statistics.median(ratios),
                "cpu": statistics.median(cpu[kind]),
                "note": notes[kind],
            }
        )
    return rows


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    rates = ", ".join(f"{rate:,.0f}" for rate in row["rates"])
    return (
        f"{row['what']:<20} {statistics.median(row['rates']):>8,.0f}/s ({rates}); ours is {row['ratio']:.1f} times it; "
        f"{row['cpu']:.3f} CPU s for 1,000; {row['note']}"
    )


def main() -> None:
    """Print the table, or measure one kind."""
    if sys.argv[1:2] == ["--one"]:
        kind, count = sys.argv[2], int(sys.argv[3])
        with tempfile.TemporaryDirectory() as folder:
            if kind.startswith("dbos"):
                answer = _dbos(Path(folder), count, wal=kind.endswith("WAL"))
            else:
                answer = asyncio.run(_ours(Path(folder), count, guarded=kind.endswith("asked")))
        print(json.dumps(answer))
        return
    for row in run(*map(int, sys.argv[1:3])):
        print(line(row), flush=True)


async def _ours(folder: Path, missions: int, *, guarded: bool) -> dict[str, Any]:
    from brain import Condition, EventStream, PolicyEngine, Rule
    from brain.kit.context import plugin_context
    from brain.kit.outbox import EventShipping
    from brain.kit.protocols import EffectGuard
    from brain.missions.models import NewMission
    from brain.missions.plugin import PLUGIN
    from brain.missions.service import MissionService
    from brain.missions.settings import MissionSettings
    from brain.missions.tables import make_tables
    from brain.settings import Settings
    from brain.store import open_store

    url = f"sqlite:///{folder}/brain.db"
    chain = [{"id": f"t{n}", "type": "step", "depends_on": [f"t{n - 1}"] if n else []} for n in range(STEPS)]
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, Settings(stream=url)) as context:
            make_tables(context.database)
            engine = PolicyEngine(store=store)
            condition = Condition(field="action", operator="matches", value=r"(task|mission)\.")
            engine.add_rule(Rule(id="all", name="all", effect="ALLOW", conditions=[condition]))
            shipping = EventShipping(context.database, PLUGIN.name, stream)
            guard = context.find(EffectGuard) if guarded else None
            service = MissionService(context.database, MissionSettings(), guard=guard)
            for number in range(missions):
                await service.create(NewMission.model_validate({"name": f"m{number}", "tasks": chain}))
            names = [f"agent-{n}" for n in range(AGENTS)]
            await asyncio.gather(*map(service.see, names))
            await asyncio.to_thread(shipping.ship)
            loop = asyncio.create_task(shipping.run())
            groups = service.committer.groups
            started, cpu = time.perf_counter(), time.process_time()
            left = Left(missions * STEPS)
            agents = [asyncio.create_task(_agent(service, name, left)) for name in names]
            await left.none.wait()
            taken = time.perf_counter() - started
            for agent in agents:
                agent.cancel()
            await asyncio.gather(*agents, return_exceptions=True)
            stats = await service.stats()
            assert stats["tasks"] == {"completed": missions * STEPS}, stats
            groups = service.committer.groups - groups
            await asyncio.to_thread(shipping.ship)
            shipped = time.perf_counter() - started
            cpu = time.process_time() - cpu
            loop.cancel()
            engine.close()
            if guard is not None:
                await guard.close()
    done = missions * STEPS
    note = (
        f"{groups} syncs, {done / groups:.0f} completions in each; the last event on the stream "
        f"{shipped - taken:.1f} s later"
    )
    return {"rate": done / taken, "note": note, "cpu": cpu / done * 1000}


class Left:
    """How many tasks are left to do."""

    def __init__(self, count: int) -> None:
        self.none = asyncio.Event()
        self._count = count

    def done(self, count: int) -> None:
        self._count -= count
        if not self._count:
            self.none.set()


async def _agent(service: Any, name: str, left: Left) -> None:
    from brain.missions.claiming import Wanted

    wanted = Wanted(name, most=AT_ONCE)
    while True:
        found = await service.lease(wanted, wait=5)
        await asyncio.gather(*(service.complete(task.id, task.token, {"done": True}) for task in found))
        left.done(len(found))


def _dbos(folder: Path, workflows: int, *, wal: bool) -> dict[str, Any]:
    import sqlalchemy as sa
    from dbos import DBOS

    if wal:

        @sa.event.listens_for(sa.Engine, "connect")
        def _connected(connection: Any, record: object) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    def step(number: int) -> dict[str, bool]:
        return {"done": True}

    @DBOS.workflow()
    def ten() -> None:
        for number in range(STEPS):
            step(number)

    DBOS.launch()
    try:
        for _ in range(5):
            ten()  # it makes its tables
        started, cpu = time.perf_counter(), time.process_time()
        for _ in range(workflows):
            ten()
        taken, cpu = time.perf_counter() - started, time.process_time() - cpu
        pragmas = _pragmas(folder / "dbos.sqlite")
    finally:
        DBOS.destroy()
    return {
        "rate": workflows * STEPS / taken,
        "cpu": cpu / workflows / STEPS * 1000,
        "note": f"{workflows} workflows of {STEPS} steps; journal_mode={pragmas}",
    }


def _pragmas(file: Path) -> str:
    import sqlite3

    with closing(sqlite3.connect(file)) as db:
        return str(db.execute("PRAGMA journal_mode").fetchone()[0])


if __name__ == "__main__":
    main()
