"""The API key, browser sessions, Host and Origin checks, and the headers that protect the page, over real HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from brain.errors import InvalidInput
from brain.server.app import create_app
from brain.settings import Settings
from brain.store import open_store
from brain.stream import EventStream
from support.server import running_server, without_consumers

KEY = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {KEY}"}
GUARDED = (
    "/api/events",
    "/api/events/live",
    "/api/policy/rules",
    "/api/threats",
    "/metrics",
    "/openapi.json",
    "/api/x",
)
OPEN = ("/healthz", "/readyz", "/login", "/static/nothing.js")


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded_url() -> AsyncIterator[str]:
    async with running_server(without_consumers(host="0.0.0.0", api_key=SecretStr(KEY))) as (_, client):
        yield str(client.base_url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local_url() -> AsyncIterator[str]:
    async with running_server(without_consumers(allowed_hosts=("brain.example",))) as (_, client):
        yield str(client.base_url)


@pytest_asyncio.fixture(loop_scope="module")
async def guarded(guarded_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a session, of a server with a key."""
    async with httpx.AsyncClient(base_url=guarded_url, timeout=60, trust_env=False) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def local(local_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server without one, for this machine."""
    async with httpx.AsyncClient(base_url=local_url, timeout=60, trust_env=False) as client:
        yield client


async def test_the_app_is_not_even_made_for_an_outside_address_without_a_key() -> None:
    async with EventStream.open("memory://") as stream:
        with pytest.raises(InvalidInput, match="BRAIN_API_KEY"):
            create_app(stream, open_store("memory://"), Settings(host="0.0.0.0"))


@pytest.mark.parametrize("path", GUARDED)
async def test_with_a_key_set_nothing_is_given_without_it(guarded: httpx.AsyncClient, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}, {"Cookie": "brain_session=1.2"}):
        answer = await guarded.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
    if path != "/api/events/live":
        assert (await guarded.get(path, headers=BEARER)).status_code == (404 if path == "/api/x" else 200)


@pytest.mark.parametrize("path", OPEN)
async def test_probes_and_the_pages_files_need_no_key(guarded: httpx.AsyncClient, path: str) -> None:
    assert (await guarded.get(path)).status_code in (200, 404)


async def test_a_browser_logs_in_for_a_session_and_out_again(guarded: httpx.AsyncClient) -> None:
    refused = await guarded.post("/login", data={"key": "wrong"})
    assert refused.status_code == 401
    assert "set-cookie" not in refused.headers

    answer = await guarded.post("/login", data={"key": KEY})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = SimpleCookie(answer.headers["set-cookie"])["brain_session"]
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert KEY not in answer.headers["set-cookie"]
    session = {"Cookie": f"brain_session={cookie.value}"}
    guarded.cookies.clear()
    assert (await guarded.get("/api/threats", headers=session)).status_code == 200

    gone = await guarded.post("/logout", headers=session)
    assert gone.status_code == 303
    assert SimpleCookie(gone.headers["set-cookie"])["brain_session"]["max-age"] == "0"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "", "127.0.0.1.evil.example", "a@127.0.0.1.x"])
async def test_a_name_that_is_not_this_machine_is_refused(local: httpx.AsyncClient, host: str) -> None:
    for path in ("/api/threats", "/healthz", "/"):
        answer = await local.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:8765", "brain.example", "BRAIN.example:443"])
async def test_this_machine_and_the_allowed_names_are_served(local: httpx.AsyncClient, host: str) -> None:
    assert (await local.get("/api/threats", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_pages_request_changes_nothing(local: httpx.AsyncClient, headers: dict[str, str]) -> None:
    threat = {"type": "scan", "source": "another page"}
    assert (await local.post("/api/threats", json=threat, headers=headers)).status_code == 403
    assert "another page" not in {one["source"] for one in (await local.get("/api/threats")).json()}


async def test_the_pages_own_requests_pass(local: httpx.AsyncClient) -> None:
    origin = str(local.base_url).rstrip("/")
    threat = {"type": "scan", "source": "x"}
    for headers in ({"Origin": origin, "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert (await local.post("/api/threats", json=threat, headers=headers)).status_code == 201


@pytest.mark.parametrize("path", ["/", "/api/threats", "/api/nothing", "/static/nothing.js", "/metrics"])
async def test_every_answer_carries_the_protecting_headers(local: httpx.AsyncClient, path: str) -> None:
    headers = (await local.get(path)).headers
    policy = headers["content-security-policy"].split("; ")
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


async def test_the_page_and_its_files_come_from_this_server_alone(local: httpx.AsyncClient) -> None:
    page = await local.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(links) > 2
    for link in (link for link in links if not link.startswith("#")):
        assert link.startswith("/"), f"{link} is of another host"
        answer = await local.get(link)
        assert answer.status_code == 200, link
        if link.startswith("/static/"):
            assert answer.headers["cache-control"] == "no-cache"
            again = await local.get(link, headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == 304
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text), (
        "the policy forbids inline code"
    )
