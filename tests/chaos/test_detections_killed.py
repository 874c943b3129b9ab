"""Detections that are killed at any moment: the same hits and counts as without, each in its threat once.

By default a few kills; `make test-long` makes 50.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain.detections.backtest import backtest
from brain.detections.http import HitRow, read_hits
from brain.detections.loading import load
from brain.kit.database import open_database
from brain.kit.positions import POSITIONS
from brain.store import open_store
from brain.stream.backends import open_backend
from brain.threats.service import ThreatService
from support import detections_worker
from support.detecting import stream_events
from support.processes import kill, spawn
from support.waiting import until

RULES = """
title: Refused
name: refused
logsource: {product: brain, category: policy.action_denied}
detection: {s: {agent_id: '*'}, condition: s}
level: low
---
title: Five
name: five
level: high
correlation: {type: event_count, rules: [refused], group-by: [agent_id], timespan: 1m, condition: {gte: 5}}
---
title: Many
name: many
correlation:
  {type: value_count, rules: [refused], group-by: [agent_id], timespan: 2m, condition: {field: resource, gte: 6}}
---
title: Few
name: few
correlation: {type: event_count, rules: [refused], group-by: [agent_id], timespan: 30s, condition: {lt: 2}}
---
title: New
name: new
brain: {type: first_seen, rules: [refused], group-by: [agent_id], field: resource, learn: 10m}
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("kills", "count"), [(2, 300), pytest.param(50, 20_000, marks=pytest.mark.long)])
async def test_the_hits_are_those_of_a_run_without_kills(kills: int, count: int, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    url, database = f"sqlite:///{tmp_path}/brain.db", f"sqlite:///{tmp_path}/consumers.db"
    events = stream_events(count)
    with closing(open_backend(f"sqlite:///{tmp_path}/plain.db")) as backend:
        backend.append("test", "", "1", events)
        plain = backtest(backend, load([rules], with_shipped=False), 0.0, 1e10)
    expected = {hit.id: (hit.source, hit.count, hit.opened_at, hit.last_at) for hit in plain.hits.values()}
    assert {one.detection for one in plain.hits.values()} == {"five", "many", "few", "new"}

    await asyncio.to_thread(kill_at_random, kills, events, url, database, str(rules))
    process, _ = started(url, database, str(rules))
    engine = open_database(database)
    found: dict[str, HitRow] = {}

    async def there() -> bool:
        if not await asyncio.to_thread(is_done, engine, count):  # asked first: what is read now is of all events
            return False
        found.update({one.id: one for one in await asyncio.to_thread(read_hits, engine, 10_000)})
        counts: Counter[tuple[str, str]] = Counter()
        for one in found.values():
            counts[one.name, one.source] += one.count
        return await evidence(url) == counts

    await until(there, 300)
    await asyncio.to_thread(kill, process)
    engine.dispose()
    got = {one.id: (one.source, one.count, one.opened_at, one.last_at) for one in found.values()}
    at_the_end = {id for id in expected if plain.hits[id].detection == "few" and id not in got}
    assert got == {id: hit for id, hit in expected.items() if id not in at_the_end}
    assert len(at_the_end) <= 4  # windows that the backtest alone ends, one of each agent


def started(*args: str) -> tuple[Any, Any]:
    ours, theirs = multiprocessing.Pipe()
    return spawn(detections_worker.work, *args, theirs), ours


def kill_at_random(kills: int, events: list[bytes], *args: str) -> None:
    """Give each process events that none before it could have, and kill it at a random moment; the last part stays."""
    chance, part = random.Random(kills), len(events) // (kills + 1)
    with closing(open_backend(args[0])) as backend:
        for number in range(kills):
            backend.append("test", mark(number), mark(number + 1), events[number * part : (number + 1) * part])
            process, going = started(*args)
            assert going.recv() == "going"
            time.sleep(chance.uniform(0, 0.15))
            kill(process)
        backend.append("test", mark(kills), mark(kills + 1), events[kills * part :])


def mark(number: int) -> str:
    return str(number) if number else ""


def is_done(engine: sa.Engine, count: int) -> bool:
    """Whether all events were consumed."""
    with engine.begin() as db:
        name = POSITIONS.c.name == "brain.detections"
        return db.execute(sa.select(POSITIONS.c.applied).where(name)).scalar() == count


async def evidence(url: str) -> dict[tuple[str, str], int]:
    """The reports that each threat has."""
    with closing(open_store(url)) as store:
        threats = await ThreatService(None, store).list_threats(limit=1000)
    return {(one.type, one.source): one.metadata["evidence"]["reports"] for one in threats}
