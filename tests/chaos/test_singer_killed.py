"""kill -9 of `brain connectors singer` while a tap streams in: each record once, and STATE never ahead of them."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import EventStream
from brain.kit.database import open_database, reading
from brain.links.repository import digest_of
from brain.links.tables import connectors, make_tables, seen
from support import tap
from support.command import start
from support.processes import kill
from support.sizes import sizes
from support.waiting import wait_until

SEED = 20261129
RECORDS_A_KILL = 200

SETTINGS = """
[connectors.inbound.orders]
kind = "singer"
command = [{python}, {tap}, "{count}"]
batch = 40
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", sizes(2, 50))
async def test_each_record_is_an_event_once_and_state_is_never_ahead(kills: int, tmp_path: Path) -> None:
    count = kills * RECORDS_A_KILL
    words = {"python": json.dumps(sys.executable), "tap": json.dumps(tap.__file__), "count": count}
    (tmp_path / "brain.toml").write_text(SETTINGS.format(**words))
    database = open_database(f"sqlite:///{tmp_path}/brain-consumers.db")
    make_tables(database)
    chance = random.Random(SEED)
    logs, command = Path(os.devnull), ("connectors", "singer", "orders")

    def known() -> int:
        with reading(database).begin() as db:
            return int(db.execute(sa.select(sa.func.count()).select_from(seen)).scalar_one())

    def stored() -> int:
        """How many records are events; checks that the STATE covers none that is not."""
        with reading(database).begin() as db:
            row = db.execute(sa.select(connectors)).one_or_none()
            keys = set(db.execute(sa.select(seen.c.key)).scalars())
        covered = -1 if row is None or row.cursor is None else json.loads(row.cursor)["bookmarks"]["orders"]
        assert {digest_of(f"orders {number} {number}") for number in range(covered + 1)} <= keys
        return len(keys)

    killed = 0
    while killed < kills:
        before = stored()
        process = start(tmp_path, command, logs, logs, {})
        goal = min(before + chance.randrange(1, RECORDS_A_KILL // 2), count)
        wait_until(lambda goal=goal, process=process: known() >= goal or not process.is_alive(), every=0.005)  # type: ignore[misc]
        killed += process.is_alive()
        kill(process)
    ended = start(tmp_path, command, logs, logs, {})
    ended.join(120)
    assert ended.exitcode == 0
    assert stored() == count
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        fields = [event.payload["fields"] async for event in stream.replay("connector.received")]
    assert [one["id"] for one in fields] == list(range(count))
    assert {one["total"] for one in fields} == {f"{number}.10" for number in range(count)}
    assert killed == kills
