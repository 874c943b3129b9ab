"""Outside services that are down for the whole run, misbehave at random, or are talked to by processes that die."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from brain.demo.stand_ins import StandIns
from brain.demo.stand_ins.faults import Mode
from brain.kit.database import create_tables, open_database
from brain.kit.outbox import Message, metadata, outbox, put
from support.outbox_worker import CHANNELS, run, send_all
from support.processes import kill, spawn
from support.waiting import until

SEED = 20261125
KEYS = 5
KILLS = 5


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/consumers.db"


@pytest.fixture
def database(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    create_tables(engine, metadata)
    yield engine
    engine.dispose()


def add(database: Engine, key: str) -> None:
    """A story to be told to each service: it begins, somebody notes something, it ends."""
    with database.begin() as db:
        for channel in CHANNELS:
            for do in ("open", "note", "close"):
                dedup, body = f"{channel} {key} {do}", {"do": do}
                put(db, Message(consumer="alerting", channel=channel, key=key, dedup=dedup, body=body), time.time())


def waiting(database: Engine) -> int:
    with database.begin() as db:
        return db.execute(select(func.count()).where(outbox.c.state == "waiting")).scalar_one()


def tried_again(database: Engine) -> int:
    with database.begin() as db:
        return db.execute(select(func.count()).where(outbox.c.attempts >= 2)).scalar_one()


def none_waits(database: Engine) -> Callable[[], bool]:
    return lambda: waiting(database) == 0


def check(database: Engine, stand_ins: StandIns, keys: list[str]) -> None:
    """Nothing lost and nothing doubled; each story told in order."""
    with database.begin() as db:
        states = Counter(db.execute(select(outbox.c.state)).scalars())
    assert states == {"sent": len(keys) * len(CHANNELS) * 3}
    alerts = stand_ins.pagerduty.alerts
    assert Counter(alert["dedup_key"] for alert in alerts) == Counter(keys)
    assert {alert["status"] for alert in alerts} == {"resolved"}
    told: dict[str, list[str]] = {}
    for message in stand_ins.webhook.messages.values():
        told.setdefault(message["key"], []).append(message["type"])
    assert told == {key: ["open", "note", "close"] for key in keys}
    posted = {message["text"] for message in stand_ins.slack.messages}
    assert posted == {f"slack {key} {do}" for key in keys for do in ("open", "note", "close")}
    issues = stand_ins.jira.issues.values()
    assert Counter(issue["fields"]["labels"][0] for issue in issues) == Counter(f"brain-{key}" for key in keys)
    records = stand_ins.servicenow.incidents.values()
    assert Counter(record["correlation_id"] for record in records) == Counter(f"brain-{key}" for key in keys)
    for key, issue in ((issue["fields"]["summary"], issue) for issue in issues):
        assert issue["status"] == "Done"
        assert [note.split("\n")[0] for note in issue["comments"]] == [f"a note on {key}", "it is over"]
    for record in records:
        assert (record["state"], record["close_notes"]) == ("6", "it is over")
        assert [note.split("\n")[0] for note in record["work_notes"]] == [
            f"a note on {record['short_description']}",
            "it is over",
        ]


async def test_all_down_for_the_whole_run_then_up(database: Engine, url: str) -> None:
    stand_ins = StandIns()
    async with stand_ins.running() as address:
        port = int(address.rpartition(":")[2])
    keys = [f"down{n}" for n in range(KEYS)]
    # Slack knows no repeated message: it gets each once only where no answer comes too late.
    sending = asyncio.create_task(send_all(url, address, answer_within=30))
    try:
        for key in keys:
            add(database, key)
        await until(lambda: tried_again(database) >= len(CHANNELS))
        assert waiting(database) == len(keys) * len(CHANNELS) * 3
        async with stand_ins.running(port):
            await until(none_waits(database), 60)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    check(database, stand_ins, keys)
    assert len(stand_ins.slack.messages) == len(keys) * 3


async def test_services_that_misbehave_at_random(database: Engine, url: str) -> None:
    chance = random.Random(SEED)
    modes: list[Mode] = ["busy", "error", "drop", "drop_after", "down", "unauthorized", "slow"]
    stand_ins = StandIns()
    stand_ins.jira.index_seconds = 0.3
    keys = [f"storm{n}" for n in range(KEYS)]
    async with stand_ins.running() as address:
        sending = asyncio.create_task(send_all(url, address))
        try:
            for key in keys:
                add(database, key)
                for one in stand_ins.by_name.values():
                    one.fail(chance.choice(modes), seconds=chance.choice([0, 1]), times=chance.randrange(1, 4))
                await asyncio.sleep(chance.uniform(0.05, 0.3))
            await until(none_waits(database), 60)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    check(database, stand_ins, keys)


@pytest.mark.timeout(180)
async def test_a_sender_killed_again_and_again(database: Engine, url: str) -> None:
    chance = random.Random(SEED)
    stand_ins = StandIns()
    stand_ins.jira.index_seconds = 0.3
    keys: list[str] = []
    async with stand_ins.running() as address:
        worker = spawn(run, url, address)
        for n in range(KILLS):
            keys.append(f"kill{n}")
            add(database, keys[-1])
            one = chance.choice(list(stand_ins.by_name.values()))
            one.fail(chance.choice(["drop_after", "error"]), times=1)
            await asyncio.sleep(chance.uniform(0.2, 0.9))
            assert worker.is_alive()
            await asyncio.to_thread(kill, worker)
            worker = spawn(run, url, address)
        await until(none_waits(database), 90)
        await asyncio.to_thread(kill, worker)
    check(database, stand_ins, keys)
    print(f"{KILLS} kills; {len(stand_ins.slack.messages) - len(keys) * 3} messages of Slack's came twice")
