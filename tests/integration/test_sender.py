"""The HTTP sender against a real server that answers as it is told."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from brain.connectors.sender import Refused, Request, RetryPolicy, Sender, TryLater, json_request, read_retry_after
from support.scripted import Reply, ScriptedServer

QUICK = RetryPolicy(attempts=3, timeout=10, connect_timeout=5, wait=0.01, max_wait=2.0)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as running:
        yield running


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender(QUICK) as made:
        yield made


def asking(server: ScriptedServer, path: str = "/thing") -> Request:
    return json_request("POST", f"{server.url}{path}", {"a": 1}, headers={"Authorization": "Bearer s3cret"})


async def test_an_answer_and_what_was_sent(server: ScriptedServer, sender: Sender) -> None:
    server.replies = [Reply(201, '{"id": 7}', {"Location": "/thing/7"})]
    answer = await sender.send("the service", asking(server))
    assert (answer.status, answer.json(), answer.headers["location"]) == (201, {"id": 7}, "/thing/7")
    (request,) = server.requests
    assert request.startswith("POST /thing HTTP/1.1")
    assert "authorization: bearer s3cret" in request.lower()
    assert request.endswith('{"a":1}')


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_a_later_try_may_get_over_is_tried_again(
    server: ScriptedServer, sender: Sender, status: int
) -> None:
    server.replies = [Reply(status, "busy"), Reply(status, "busy"), Reply(200, "{}")]
    assert (await sender.send("the service", asking(server))).status == 200
    assert len(server.requests) == 3
    assert sender.retried == 2


async def test_after_the_last_try_the_service_is_unavailable(server: ScriptedServer, sender: Sender) -> None:
    server.replies = [Reply(500, "oh\nno")] * 5
    with pytest.raises(TryLater, match="the service answered 500: oh no") as caught:
        await sender.send("the service", asking(server))
    assert (len(server.requests), caught.value.retry_after, caught.value.service_status) == (3, None, 500)


async def test_one_try_where_a_second_could_do_harm(server: ScriptedServer, sender: Sender) -> None:
    server.replies = [Reply(503, ""), Reply(200, "{}")]
    with pytest.raises(TryLater):
        await sender.send("the service", asking(server), retry=False)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 400, 403, 404, 410, 413, 422])
async def test_a_refusal_is_final_and_in_the_services_own_words(
    server: ScriptedServer, sender: Sender, status: int
) -> None:
    server.replies = [Reply(status, "no such  project\n" + "x" * 2000), Reply(200, "{}")]
    with pytest.raises(Refused, match="no such project") as caught:
        await sender.send("the service", asking(server))
    assert (caught.value.service_status, len(caught.value.words), len(server.requests)) == (status, 500, 1)


async def test_credentials_that_do_not_hold_are_for_later_but_not_tried_again_at_once(
    server: ScriptedServer, sender: Sender
) -> None:
    server.replies = [Reply(401, "who are you?")] * 2
    with pytest.raises(TryLater, match="check the credentials"):
        await sender.send("the service", asking(server))
    assert len(server.requests) == 1


async def test_retry_after_in_seconds_is_waited_for(server: ScriptedServer, sender: Sender) -> None:
    server.replies = [Reply(429, "", {"Retry-After": "1"}), Reply(200, "{}")]
    begun = time.monotonic()
    await sender.send("the service", asking(server))
    assert time.monotonic() - begun >= 0.95


async def test_a_long_retry_after_is_left_to_the_caller(server: ScriptedServer, sender: Sender) -> None:
    until = email.utils.formatdate(time.time() + 120, usegmt=True)
    server.replies = [Reply(429, "", {"Retry-After": until}), Reply(200, "{}")]
    with pytest.raises(TryLater) as caught:
        await sender.send("the service", asking(server))
    assert caught.value.retry_after is not None
    assert 60 < caught.value.retry_after <= 120
    assert len(server.requests) == 1


def test_both_forms_of_retry_after_are_read_and_capped() -> None:
    now = 1_700_000_000.0
    date = email.utils.formatdate(now + 90, usegmt=True)
    past = email.utils.formatdate(now - 90, usegmt=True)
    values = ["30", " 7 ", "999999", date, past, "soon", "-5", "1.5", "", None, "Wed, 99 Foo 2020 00:00:00 GMT"]
    assert [read_retry_after(value, now, 3600) for value in values] == [
        30, 7, 3600, 90, 0, None, None, None, None, None, None,
    ]  # fmt: skip


async def test_a_dropped_connection_is_tried_again(server: ScriptedServer, sender: Sender) -> None:
    server.replies = [Reply(drop=True), Reply(200, "half", drop=True), Reply(200, "{}")]
    assert (await sender.send("the service", asking(server))).status == 200
    assert len(server.requests) == 3


async def test_a_slow_answer_times_out_also_when_it_trickles(server: ScriptedServer) -> None:
    async with Sender(RetryPolicy(attempts=2, timeout=0.3, wait=0.01)) as sender:
        server.replies = [Reply(200, "x" * 100, trickle=0.05)] * 2
        with pytest.raises(TryLater, match="timed out"):
            await sender.send("the service", asking(server))
    assert len(server.requests) == 2


async def test_a_server_that_is_not_there() -> None:
    async with ScriptedServer() as gone:
        url = gone.url
    async with Sender(QUICK) as sender:
        with pytest.raises(TryLater, match="no connection"):
            await sender.send("the service", Request("GET", f"{url}/secret-token"))


@pytest.mark.parametrize("url", ["ftp://x/y", "no url", "http://", "http://[::1", "http://x:99999/"])
async def test_a_url_that_is_none_is_for_later_and_not_shown(sender: Sender, url: str) -> None:
    with pytest.raises(TryLater) as caught:
        await sender.send("the service", Request("GET", url))
    assert "://x" not in str(caught.value)


async def test_an_endless_answer_is_not_read(sender: Sender, server: ScriptedServer) -> None:
    server.replies = [Reply(200, "x" * (5 << 20))]
    with pytest.raises(TryLater, match="more than"):
        await sender.send("the service", asking(server), retry=False)


async def test_no_secret_is_logged_or_in_an_error(
    server: ScriptedServer, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    """In a program that logs everything, httpx included, which logs the URLs of others."""
    caplog.set_level(logging.DEBUG)
    server.replies = [Reply(500, ""), Reply(drop=True), Reply(400, "bad")]
    with pytest.raises(Refused) as caught:
        await sender.send("the service", asking(server, "/hook/s3cret"))
    server.replies = [Reply(drop=True)]
    with pytest.raises(TryLater) as later:
        await sender.send("the service", asking(server, "/hook/s3cret"), retry=False)
    told = [caplog.text, caught.value, later.value, asking(server, "/hook/s3cret")]
    assert "s3cret" not in " ".join(map(repr, told))
    assert caplog.text.count("a service is asked again: service='the service'") == 2
    server.replies = [Reply(200, "{}")]
    async with httpx.AsyncClient() as client:
        await client.get(f"{server.url}/of-another")
    assert "/of-another" in caplog.text


async def test_an_answer_that_is_no_json_is_for_later(server: ScriptedServer, sender: Sender) -> None:
    server.replies = [Reply(200, "<html>asleep</html>"), Reply(204, "")]
    answer = await sender.send("the service", asking(server))
    with pytest.raises(TryLater, match="not JSON"):
        answer.json()
    assert (await sender.send("the service", asking(server))).json() is None


async def test_many_at_once_over_one_sender(server: ScriptedServer, sender: Sender) -> None:
    server.replies = [Reply(200, "{}") for _ in range(50)]
    answers = await asyncio.gather(*[sender.send("the service", asking(server)) for _ in range(50)])
    assert {answer.status for answer in answers} == {200}
