"""One hostile client hurts nobody else: silent connections, too many requests, searches and followers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from brain.access.repository import Keys
from brain.access.settings import AccessSettings
from brain.server.impatient import impatient
from brain.server.too_many import PAUSE
from brain.store import open_store
from support.server import running_server, without_consumers

WHOLE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX-"


@pytest.mark.parametrize("base", [HttpToolsProtocol, H11Protocol])
async def test_connections_without_a_whole_head_are_ended(base: Any) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.6)
        return PlainTextResponse("done")

    config = Config(Starlette(routes=[Route("/", slow)]), log_config=None, timeout_keep_alive=60)
    config.load()
    state = ServerState()
    made: Callable[..., asyncio.Protocol] = impatient(base, 0.3)
    server = await asyncio.get_running_loop().create_server(
        lambda: made(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]

    async def answer(*parts: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for part in parts:
                writer.write(part)
                if part.endswith(b"\r\n\r\n"):
                    assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
            return await reader.read()
        except ConnectionResetError:
            return b"reset"
        finally:
            writer.close()

    async with server:
        ended = await asyncio.wait_for(
            asyncio.gather(answer(), answer(HALF), answer(WHOLE, HALF), answer(WHOLE, WHOLE, HALF)), 20
        )
    assert set(ended) <= {b"", b"reset"}, "each is ended, and none while its request was answered"


async def test_beyond_its_limits_a_sender_is_answered_429_and_others_are_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/b.db"
    keys = Keys(open_store(url), None)
    loud, quiet = (keys.new(name, "operator").secret for name in ("loud", "quiet"))
    limits = AccessSettings(decisions_rate=1.0, reads_rate=3.0, refusals_rate=0.2, followers=2)
    async with running_server(without_consumers(url, api_key=SecretStr("k" * 30), access=limits)) as (_, client):

        async def ask(key: str, method: str = "POST", path: str = "/api/policy/evaluate") -> httpx.Response:
            body = {"agent_id": "a", "action": "read"} if method == "POST" else None
            return await client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})

        answers = [await ask(loud) for _ in range(14)]
        late = [answer for answer in answers if answer.status_code == 429]
        assert 1 <= len(late) <= 4
        assert all(1 <= int(answer.headers["retry-after"]) <= 2 for answer in late)
        assert (await ask(quiet)).status_code == 200
        assert (await ask(loud, "GET", "/api/threats")).status_code == 200, "another class of route"
        wrong = [(await ask("wrong", "GET", "/api/threats")).status_code for _ in range(24)]
        assert wrong[:20] == [401] * 20
        assert 429 in wrong[20:]
        assert (await ask(quiet)).status_code == 200, "its address was refused, its key is good"
        async with AsyncExitStack() as open_:
            followed, kept = [], []
            for key in (loud, loud, loud, quiet):
                made = client.stream("GET", "/api/events/live", headers={"Authorization": f"Bearer {key}"})
                answer = await open_.enter_async_context(made)
                followed.append(answer.status_code)
                if answer.status_code == 200:
                    kept.append(answer.aiter_bytes())
                    await anext(kept[-1])
            assert followed == [200, 200, 429, 200]


async def test_beyond_a_limit_answers_come_late_and_the_log_has_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/b.db"
    key = Keys(open_store(url), None).new("loud", "operator").secret
    limits = AccessSettings(decisions_rate=0.1)
    async with running_server(without_consumers(url, access=limits)) as (_, client):
        began, statuses = time.monotonic(), []
        for _ in range(4):
            body = {"agent_id": "a", "action": "read"}
            answer = await client.post("/api/policy/evaluate", json=body, headers={"Authorization": f"Bearer {key}"})
            statuses.append(answer.status_code)
    assert statuses == [200, 429, 429, 429]
    assert time.monotonic() - began >= 3 * PAUSE, "who asks at once again cannot keep the server busy"
    assert caplog.text.count("requests beyond a limit") == 1


@pytest.mark.long
async def test_a_thousand_idle_connections_are_gone_and_hurt_nobody(tmp_path: Path) -> None:
    limits = AccessSettings(header_seconds=2.0)
    async with running_server(without_consumers(f"sqlite:///{tmp_path}/b.db", access=limits)) as (server, client):
        port = int(server.url.rpartition(":")[2])

        async def p99(seconds: float) -> float:
            took = []
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                began = time.perf_counter()
                answer = await client.post("/api/policy/evaluate", json={"agent_id": "a", "action": "read"})
                took.append(time.perf_counter() - began)
                assert answer.status_code == 200
            return sorted(took)[len(took) * 99 // 100]

        await p99(0.5)
        quiet = await p99(2)
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(1000)]
        for _, writer in idle[::2]:
            writer.write(HALF)
        hurt = await p99(2)
        ended = await asyncio.wait_for(
            asyncio.gather(*(reader.read() for reader, _ in idle), return_exceptions=True), 12
        )
        assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ended)
        print(f"p99 quiet {quiet * 1e6:.0f} us, beside 1,000 idle connections {hurt * 1e6:.0f} us")
        assert hurt < 2 * quiet
