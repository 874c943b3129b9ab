"""Two `brain serve` on one Redis and one PostgreSQL, stopped and killed at random: all things once, none stands."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain import Event, EventStream, ThreatService
from brain.alerting.tables import GROUPS
from brain.audit.open import open_key
from brain.audit.search import AuditQuery, each
from brain.audit.settings import AuditSettings
from brain.audit.verify import verify
from brain.demo.stand_ins import StandIns
from brain.kit.database import open_database, reading
from brain.kit.outbox import outbox
from brain.kit.positions import POSITIONS
from brain.metrics import recount
from brain.metrics.sources import StreamSource
from brain.store import open_store
from support.alerting_running import paging
from support.incident_house import mirrored
from support.server import ServeProcess
from support.signals import freeze, thaw
from support.sizes import sizes
from support.toml import toml
from support.waiting import until

SEED = 20261129
MOST_STANDING = 5.0
"""Seconds for which nothing may be applied since a node was stopped or killed, while the other one runs."""
LOOKS_WITHIN = 0.5
"""Seconds between two looks at most, unless the machine is too busy."""


class Progress:
    """What the projections of all nodes have applied, and the longest time after one fault for which nothing was."""

    def __init__(self, url: str) -> None:
        self._engine = open_database(url)
        self._seen = -1
        self._looked = time.monotonic()
        self._standing = 0.0
        self.longest = 0.0

    def begin(self) -> None:
        """A new fault: another node may be the one that goes on."""
        self._standing = 0.0

    def look(self) -> None:
        """To be called while events are published all the time."""
        query = sa.select(sa.func.sum(POSITIONS.c.applied)).where(POSITIONS.c.name == "brain.audit")
        with reading(self._engine).begin() as db:
            applied = db.execute(query).scalar() or 0
        now = time.monotonic()
        # While this process itself got no processor, it published nothing that could have been applied.
        self._standing = 0.0 if applied != self._seen else self._standing + min(now - self._looked, LOOKS_WITHIN)
        self._seen, self._looked = applied, now
        self.longest = max(self.longest, self._standing)

    def waiting(self) -> int:
        """Rows of the outbox that wait, and groups of alerts whose page is due, or will be within a second."""
        rows = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.state == "waiting")
        due = sa.select(sa.func.count()).select_from(GROUPS).where(GROUPS.c.due_at < time.time() + 1.0)
        with reading(self._engine).begin() as db:
            return db.execute(rows).scalar_one() + db.execute(due).scalar_one()


class Nodes:
    """Two nodes with one brain.toml, each in a folder of its own."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._folders = [folder / "first", folder / "second"]
        for one in self._folders:
            one.mkdir()
            (one / "brain.toml").write_text(toml(settings))
        self._running = [ServeProcess(one) for one in self._folders]

    def wait(self) -> None:
        """Until both answer."""
        for node in self._running:
            node.__enter__()

    def kill(self, number: int) -> None:
        """kill -9, and start it again."""
        self._running[number].kill()
        self._running[number] = ServeProcess(self._folders[number])

    @contextmanager
    def stopped(self, number: int) -> Iterator[None]:
        freeze(self._running[number].pid)
        try:
            yield
        finally:
            thaw(self._running[number].pid)

    def end(self) -> None:
        for node in self._running:
            node.kill()


@pytest.mark.alone
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rounds", sizes(1, 100))
async def test_each_page_ticket_entry_and_count_once(
    rounds: int, tmp_path: Path, redis_url: str, postgres: Any
) -> None:
    chance = random.Random(SEED)
    stand_ins = StandIns()
    async with stand_ins.running(), EventStream.open(redis_url, journal=tmp_path / "journal") as stream:
        alerting = paging(stand_ins.url, warm_up=0.0, send_timeout=4.0)
        alerting["routes"][0] |= {"group_wait": 0.05, "matchers": ["kind=threat"]}
        incidents = mirrored(stand_ins.url, lease_seconds=4.0, poll_seconds=2.0)
        shared = {"stream": redis_url, "database": postgres.url, "log_level": "error"}
        audit = {"key_file": str(tmp_path / "audit.key")}
        nodes = Nodes(tmp_path, {**shared, "alerting": alerting, "incidents": incidents, "audit": audit})
        store = open_store(redis_url)
        threats = ThreatService(stream, store)
        stories: list[str] = []
        progress = Progress(postgres.url)
        try:
            await asyncio.to_thread(nodes.wait)
            beating = asyncio.create_task(beat(stream, progress))
            for number in range(rounds):
                for act in chance.sample(("stop", "kill"), 2):
                    threat = await threats.create_threat(
                        "ssh_brute_force", f"host-{number}-{act}", "HIGH", "80 failures"
                    )
                    await threats.update_threat_status(threat.id, "ESCALATED", "a login succeeded")
                    stories.append(threat.id)
                    await asyncio.sleep(chance.uniform(0, 0.3))
                    progress.begin()
                    if act == "stop":
                        with nodes.stopped(chance.randrange(2)):
                            await asyncio.sleep(chance.choice((0.2, 2.0, 6.0)))
                    else:
                        nodes.kill(chance.randrange(2))
                        await asyncio.to_thread(nodes.wait)
            beating.cancel()
            await asyncio.wait({beating})
            await until(lambda: settled(stream, progress), 120)
        finally:
            nodes.end()
            store.close()
        longest = progress.longest
        print(f"{rounds} stops and kills, {len(stories)} stories, longest standing {longest:.2f} s")
        check_counted(stand_ins, stories)
        await check_logged(stream, postgres.url, tmp_path / "audit.key")
    assert longest < MOST_STANDING


async def beat(stream: EventStream, progress: Progress) -> None:
    """Publish all the time, and look at what becomes of it."""
    number = 0
    while True:
        for _ in range(20):
            number += 1
            stream.publish(Event(type="test.counted", source="test_service", payload={"n": number}))
        await asyncio.to_thread(progress.look)
        await asyncio.sleep(0.05)


async def settled(stream: EventStream, progress: Progress) -> bool:
    """Whether everything is applied and sent, and what that published as well."""
    groups = await stream.groups()
    return all(group.lag == 0 for group in groups) and await asyncio.to_thread(progress.waiting) == 0


def check_counted(stand_ins: StandIns, stories: list[str]) -> None:
    """One page, one issue and one record a story."""
    pages = Counter(alert["dedup_key"] for alert in stand_ins.pagerduty.alerts)
    assert set(pages.values()) == {1}
    assert len(pages) == len(stories)
    told = Counter((message["dedup_key"], message["action"]) for message in stand_ins.webhook.messages.values())
    assert {count for (_, action), count in told.items() if action == "trigger"} == {1}
    assert len(stand_ins.jira.issues) == len(stories)
    assert len(stand_ins.servicenow.incidents) == len(stories)


async def check_logged(stream: EventStream, url: str, key: Path) -> None:
    """Each stored event is one entry, in its order, and the metrics equal a recount."""
    engine = open_database(url)
    stored = [event.id async for event in stream.replay("*")]
    logged = [entry.event_id for entry in each(engine, AuditQuery())]
    assert logged == list(dict.fromkeys(stored))
    report = await asyncio.to_thread(verify, engine, open_key(engine, AuditSettings(key_file=key)))
    assert (report.ok, report.size) == (True, len(logged))
    verdict = await asyncio.to_thread(recount.verify, engine, lambda stored: StreamSource(stream.backend, stored))
    assert (verdict.differences, verdict.incomplete) == ([], 0)
    engine.dispose()
