"""Stored items that this version cannot read, put straight into the databases: every list shows the others and names
the bad one, over HTTP and on the command line.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import redis

from brain.settings import Settings
from brain.store import open_store
from support.command import Command
from support.server import running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD = b'{"id": "bad", "severity": "APOCALYPTIC", "from": "a later version"}'
LISTS = {
    "/api/threats": ("threats", "thr_bad"),
    "/api/immune/events": ("immune", "000000000900"),
    "/api/policy/approvals": ("policy.approvals", "apr_9999999999999_bad"),
}
"""Each list over the store, its collection, and the key of the bad document there."""


async def some_of_each(client: httpx.AsyncClient) -> None:
    """One good threat and one good health event."""
    assert (await client.post("/api/threats", json={"type": "scan", "source": "203.0.113.7"})).status_code == 201
    health = {"severity": "INFO", "kind": "ERROR_SPIKE", "module": "m", "message": "m"}
    assert (await client.post("/api/immune/events", json=health)).status_code == 201


async def check_lists(client: httpx.AsyncClient) -> None:
    for path, (collection, key) in LISTS.items():
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()) == (0 if "approvals" in path else 1)
        assert answer.headers["x-brain-unreadable"] == f"{collection}/{key}"
        again = await client.get(path)  # also when the answer comes from memory
        assert again.headers["x-brain-unreadable"] == f"{collection}/{key}"
    assert (await client.get("/api/threats/stats")).json()["total"] == 1
    assert (await client.get("/api/immune/health")).json()["total"] == 1
    for path in ("/api/threats/thr_bad", "/api/silences"):
        assert (await client.get(path)).status_code < 500
    assert "x-brain-unreadable" not in (await client.get("/api/silences")).headers


async def test_documents_in_sqlite(tmp_path: Path, brain: Command) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    async with running_server(Settings(stream=url, store=url, port=0)) as (_, client):
        await some_of_each(client)
        with sqlite3.connect(tmp_path / "brain.db") as db:
            for collection, key in LISTS.values():
                db.execute("INSERT INTO documents VALUES (?, ?, 1, ?)", (collection, key, BAD))
                db.execute("UPDATE document_revisions SET revision = revision + 1 WHERE collection = ?", (collection,))
        db.close()
        await check_lists(client)
    listed = brain("threats", "list", "--json")
    assert (listed.code, len(listed.json)) == (0, 1)
    assert "left out: threats/thr_bad is stored and cannot be read by this version" in listed.err
    assert brain("policy", "approvals", "--json").json == []


async def test_documents_in_redis(redis_url: str) -> None:
    async with running_server(Settings(stream=redis_url, store=redis_url, port=0)) as (_, client):
        await some_of_each(client)
        store = open_store(redis_url)
        for collection, key in LISTS.values():
            store.put(collection, key, BAD)
        store.close()
        await check_lists(client)


@pytest_asyncio.fixture(loop_scope="module")
async def house(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Path]]:
    url = f"sqlite:///{tmp_path}/brain.db"
    database = tmp_path / "consumers.db"
    settings = Settings(stream=url, store=url, database=f"sqlite:///{database}", port=0)
    async with running_server(settings) as (_, client):
        yield client, database


async def test_rows_of_alerts_silences_and_incidents(house: tuple[httpx.AsyncClient, Path]) -> None:
    client, database = house
    silences = [{"matchers": [f"agent=a{n}"], "ends_at": 4e9, "by": "ann", "reason": "r"} for n in range(3)]
    bad = [(await client.post("/api/silences", json=one)).json()["id"] for one in silences][1]
    titles = [(await client.post("/api/incidents", json={"title": str(n)})).json()["id"] for n in range(3)]
    with sqlite3.connect(database) as db:
        db.execute("UPDATE soc_silences SET matchers = '[\"agent=~(\"]' WHERE id = ?", (bad,))
        db.execute("UPDATE incidents_incidents SET state = 'FORGOTTEN' WHERE id = ?", (titles[1],))
    db.close()
    for path, kept, name in (
        ("/api/silences", 2, f"soc_silences/{bad}"),
        ("/api/incidents", 2, f"incidents_incidents/{titles[1]}"),
    ):
        answer = await client.get(path)
        assert (answer.status_code, len(answer.json())) == (200, kept), answer.text
        assert answer.headers["x-brain-unreadable"] == name
    with sqlite3.connect(database) as db:
        db.execute("UPDATE soc_silences SET matchers = '[not json' WHERE id = ?", (bad,))
    db.close()
    answer = await client.get("/api/silences")
    assert (answer.status_code, len(answer.json())) == (200, 2), answer.text


async def test_bytes_in_the_stream_that_are_no_event(redis_url: str) -> None:
    async with running_server(Settings(stream=redis_url, store="memory://", port=0)) as (running, client):
        await client.post("/api/threats", json={"type": "scan", "source": "203.0.113.7"})
        await running.stream.read(limit=1)
        server = redis.Redis.from_url(redis_url)
        (name,) = [key for key in server.scan_iter() if server.type(key) == b"stream"]
        deep = b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        fields = next(iter(server.xrange(name, count=1)))[1] if server.xlen(name) else {}
        for bad in (BAD, deep, b"\xff"):
            server.xadd(name, dict.fromkeys(fields, bad) or {b"d": bad})
        answer = await client.get("/api/events")
        assert answer.status_code == 200
        assert all(one["event"]["type"] for one in answer.json()["events"])
