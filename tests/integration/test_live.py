"""`/api/events/live` over a real socket: the wire format, resuming, letting go."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from brain.access.repository import Keys
from brain.charter import Event
from brain.server import broadcast, live
from brain.server.broadcast import wire
from brain.server.running import DRAIN_SECONDS, Running
from brain.store import open_store
from brain.stream import EventStream, Stored
from support.server import running_server, without_consumers
from support.waiting import until

Server = tuple[Running, httpx.AsyncClient]


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'brain.db'}"}.get(request.param)
    url = url or str(request.getfixturevalue("redis_url"))
    async with running_server(without_consumers(url)) as server:
        yield server


@pytest.fixture
async def one_server() -> AsyncIterator[Server]:
    async with running_server(without_consumers(live_limit=2)) as server:
        yield server


def event(number: int, kind: str = "test.happened") -> Event:
    return Event(type=kind, source="test_service", payload={"number": number})


class Follower:
    """Reads server-sent events as a browser does."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def next(self) -> dict[str, Any]:
        """The next event's fields, `data` parsed; comments and `retry` are passed over."""
        fields: dict[str, Any] = {}
        async with asyncio.timeout(60):
            async for line in self._lines:
                if not line and "data" in fields:
                    self.last_id = fields["id"]
                    return fields
                name, _, value = line.partition(": ")
                if name in ("id", "event", "data"):
                    fields[name] = json.loads(value) if name == "data" else value
        raise AssertionError("the answer ended")


@asynccontextmanager
async def following(client: httpx.AsyncClient, query: str = "", last_id: str = "") -> AsyncIterator[Follower]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with client.stream("GET", f"/api/events/live{query}", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield Follower(answer)


async def nobody_follows(client: httpx.AsyncClient) -> None:
    """Wait until the server counts no live client."""

    async def counted() -> bool:
        return "brain_live_clients 0.0" in (await client.get("/metrics")).text

    await until(counted)


async def test_an_event_arrives_with_its_position_type_and_envelope(server: Server) -> None:
    running, client = server
    async with following(client) as follower:
        published = event(1)
        position = await running.stream.publish(published)
        seen = await follower.next()
    assert seen["id"] == position
    assert seen["event"] == "test.happened"
    assert seen["data"] == json.loads(published.encode())


async def test_a_dropped_connection_resumes_without_loss_or_repetition(server: Server) -> None:
    running, client = server
    numbers: list[int] = []
    last_id = ""

    async def publish() -> None:
        for number in range(300):
            await running.stream.publish(event(number))

    first = await running.stream.publish(event(-1))
    last_id = first
    publishing = asyncio.create_task(publish())
    while len(numbers) < 300:
        async with following(client, last_id=last_id) as follower:  # cut off after every 70 events
            while len(numbers) < 300:
                numbers.append((await follower.next())["data"]["payload"]["number"])
                last_id = follower.last_id
                if len(numbers) % 70 == 0:
                    break
    await publishing
    assert numbers == list(range(300))


async def test_the_header_goes_before_the_parameter_as_a_browser_keeps_its_first_url(one_server: Server) -> None:
    running, client = one_server
    positions = [await running.stream.publish(event(number)) for number in range(3)]
    async with following(client, f"?after={positions[0]}") as follower:
        assert (await follower.next())["data"]["payload"]["number"] == 1
    async with following(client, f"?after={positions[0]}", last_id=positions[1]) as follower:
        assert (await follower.next())["data"]["payload"]["number"] == 2


async def test_only_the_wanted_types_come(one_server: Server) -> None:
    running, client = one_server
    start = await running.stream.publish(event(0))
    for number, kind in enumerate(("a.one", "b.two", "a.three", "c.four")):
        running.stream.publish(event(number, kind))
    async with following(client, f"?after={start}&pattern=a.*,b.two") as follower:
        assert [(await follower.next())["event"] for _ in range(3)] == ["a.one", "b.two", "a.three"]
    async with following(client, f"?after={start}&pattern=c.*&pattern=b.*") as follower:
        assert [(await follower.next())["event"] for _ in range(2)] == ["b.two", "c.four"]


async def test_a_quiet_line_is_kept_alive_by_comments(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.02)
    _, client = one_server
    async with client.stream("GET", "/api/events/live") as answer, asyncio.timeout(60):
        lines = answer.aiter_lines()
        assert await anext(lines) == f"retry: {live.RETRY_MILLISECONDS}"
        assert [await anext(lines) for _ in range(4)] == ["", ": heartbeat", "", ": heartbeat"]


async def test_more_clients_than_the_limit_are_asked_to_come_later_and_places_are_given_back(
    one_server: Server,
) -> None:
    _, client = one_server
    async with following(client), following(client):
        refused = await client.get("/api/events/live")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"] == "1"
        assert "brain_live_clients 2.0" in (await client.get("/metrics")).text
    await nobody_follows(client)


async def test_a_client_that_does_not_read_is_dropped(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SEND_SECONDS", 0.2)
    running, client = one_server
    start = await running.stream.publish(event(0))
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (client.base_url.host, client.base_url.port))
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    writer.write(f"GET /api/events/live?after={start} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readline()
    assert "brain_live_clients 1.0" in (await client.get("/metrics")).text
    big = Event(type="test.big", source="test_service", payload={"text": "x" * 100_000})
    for _ in range(60):  # more than the buffers of both ends take: the sender's has 4 MB
        await running.stream.publish(big)
    await nobody_follows(client)
    writer.close()


async def test_a_server_that_stops_lets_followers_go_at_once() -> None:
    ended = asyncio.Event()

    async def follow(client: httpx.AsyncClient, begun: asyncio.Event) -> None:
        async with client.stream("GET", "/api/events/live") as answer:
            async for _ in answer.aiter_lines():
                begun.set()
        ended.set()  # a whole answer: the connection was not torn

    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        async with running_server(without_consumers()) as (running, _):
            client.base_url = httpx.URL(running.url)
            begun = asyncio.Event()
            task = asyncio.create_task(follow(client, begun))
            await begun.wait()
            loop = asyncio.get_running_loop()
            asked = loop.time()
        assert loop.time() - asked < DRAIN_SECONDS
        await task
    assert ended.is_set()


async def test_events_of_another_process_come_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    async with (
        running_server(without_consumers(url)) as (_, client),
        following(client) as follower,
        EventStream.open(url) as elsewhere,
    ):
        elsewhere.publish(event(42))
        assert (await follower.next())["data"]["payload"]["number"] == 42


async def test_what_many_follow_is_encoded_once(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []

    def counted(stored: Stored) -> bytes:
        encoded.append(stored.event.id)
        return wire(stored)

    monkeypatch.setattr(broadcast, "wire", counted)
    many = 20
    async with AsyncExitStack() as stack:
        running, client = await stack.enter_async_context(running_server(without_consumers(live_limit=many)))
        followers = [await stack.enter_async_context(following(client, "?pattern=test.*")) for _ in range(many)]
        published = [event(number) for number in range(50)]
        for one in published:
            running.stream.publish(one)
        for follower in followers:
            assert [(await follower.next())["data"]["id"] for _ in published] == [one.id for one in published]
    assert encoded == [one.id for one in published]


async def test_one_that_reads_slowly_holds_up_no_other_and_misses_nothing(
    one_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcast, "HELD", 1)
    running, client = one_server
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, limit=1024)
    writer.write(b"GET /api/events/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readline()
    async with following(client) as quick:
        for number in range(60):
            await running.stream.publish(
                Event(type="test.big", source="test_service", payload={"number": number, "text": "x" * 100_000})
            )
        assert [(await quick.next())["data"]["payload"]["number"] for _ in range(60)] == list(range(60))
    read = b""
    async with asyncio.timeout(60):
        while read.count(b"\ndata: ") < 60:
            read += await reader.read(1 << 20)
    numbers = [int(found) for found in re.findall(rb'"number":(\d+)', read)]
    assert numbers == list(range(60))
    writer.close()


@pytest.mark.parametrize("unknown", ["no position", "999999", "9999999999999-7"])
async def test_an_unknown_last_event_id_starts_with_a_reset(one_server: Server, unknown: str) -> None:
    running, client = one_server
    tail = await running.stream.publish(event(0))
    async with following(client, last_id=unknown) as follower:
        reset = await follower.next()
        assert (reset["event"], reset["id"], reset["data"]["position"]) == ("reset", tail, tail)
        assert "Last-Event-ID" in reset["data"]["reason"]
        published = event(1)
        await running.stream.publish(published)
        assert (await follower.next())["data"]["id"] == published.id


async def test_what_is_no_longer_kept_is_a_reset_and_what_is_kept_is_none(server: Server) -> None:
    running, client = server
    positions = [await running.stream.publish(event(number)) for number in range(10)]
    await running.stream.call(running.stream.backend.trim, positions[4])
    async with following(client, last_id=positions[2]) as follower:
        assert (await follower.next())["event"] == "reset"
    async with following(client, last_id=positions[5]) as follower:
        assert (await follower.next())["data"]["payload"]["number"] == 6


async def test_who_is_not_let_in_any_more_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brain.server.lasting.LOOK_SECONDS", 0.05)
    settings = without_consumers(f"sqlite:///{tmp_path / 'brain.db'}", api_key=SecretStr("a-key-of-the-settings-1234"))
    async with running_server(settings) as (_, client):
        keys = Keys(open_store(settings.stream), None)
        gone, stays = (keys.new(name, "viewer").secret for name in ("gone", "stays"))
        path = "/api/events/live"
        async with (
            client.stream("GET", path, headers={"Authorization": f"Bearer {gone}"}) as cut,
            client.stream("GET", path, headers={"Authorization": f"Bearer {stays}"}) as kept,
        ):
            assert (cut.status_code, kept.status_code) == (200, 200)
            keys.revoke("gone")
            async with asyncio.timeout(60):
                refusals = [line async for line in cut.aiter_lines()]  # ends
            assert refusals[0] == "retry: 1000"
            follower = Follower(kept)
            found = await follower.next()
        assert found["event"] == "access.request_refused"
        assert found["data"]["meta"]["principal"]["name"] == "gone"
        assert found["data"]["payload"]["reason"] == "the key gone is revoked"


async def test_with_the_first_key_nobody_follows_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brain.server.lasting.LOOK_SECONDS", 0.05)
    settings = without_consumers(f"sqlite:///{tmp_path / 'brain.db'}")
    async with running_server(settings) as (_, client), client.stream("GET", "/api/events/live") as open_to_all:
        assert open_to_all.status_code == 200
        Keys(open_store(settings.stream), None).new("first", "admin")
        async with asyncio.timeout(60):
            assert "retry: 1000" in [line async for line in open_to_all.aiter_lines()]  # ends
        assert (await client.get("/api/events/live")).status_code == 401


@pytest.mark.parametrize(("trusted", "address"), [((), "127.0.0.1"), (("127.0.0.0/8",), "192.0.2.7")])
async def test_forwarded_addresses_count_from_trusted_proxies_alone(trusted: tuple[str, ...], address: str) -> None:
    async with running_server(without_consumers(trusted_proxies=trusted)) as (_, client):
        who = await client.get("/api/access/me", headers={"X-Forwarded-For": "198.51.100.9, 192.0.2.7"})
        assert who.json()["address"] == address
