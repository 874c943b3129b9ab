"""`/api/events`, the probes and `/metrics`, over a real socket and real backends."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from brain.charter import Event
from brain.server import events as events_api
from brain.server.running import Running
from brain.settings import Settings
from brain.stream import query as stream_query
from brain.stream.event_index import EventIndex, Span
from brain.stream.publisher import failures
from support.redis_server import RedisServer
from support.server import running_server, without_consumers
from support.waiting import until

Server = tuple[Running, httpx.AsyncClient]


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def server(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Server]:
    monkeypatch.chdir(tmp_path)  # where journals for Redis lie: what a test before left in one is shipped anew
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'brain.db'}"}.get(request.param)
    url = url or str(request.getfixturevalue("redis_url"))
    async with running_server(without_consumers(url)) as server:
        yield server


async def publish(server: Server, count: int, kind: str = "test.happened", **more: Any) -> list[Event]:
    """Events with numbers in their payloads, all stored on return."""
    events = [Event(type=kind, source="test_service", payload={"number": number}, **more) for number in range(count)]
    receipts = [server[0].stream.publish(event) for event in events]
    for receipt in receipts:
        await receipt
    return events


async def query(server: Server, **parameters: Any) -> tuple[list[int], str | None]:
    """The numbers of the events found, and where to go on."""
    answer = await server[1].get("/api/events", params=parameters)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    return [row["event"]["payload"]["number"] for row in page["events"]], page["next"]


async def test_a_position_of_another_backend_is_refused_or_read_as_one(server: Server) -> None:
    await publish(server, 1)
    counted = not server[0].stream.url.startswith("redis")
    for name in ("before", "after"):
        parameters = {name: "17-3", "newest_first": name == "before"}
        answer = await server[1].get("/api/events", params=parameters)
        assert answer.status_code == (422 if counted else 200), answer.text
        assert not counted or "17-3" in answer.text


async def test_a_page_without_events_says_that_no_type_matches_the_pattern(server: Server) -> None:
    await publish(server, 1, "undeclared.type")
    for pattern, note in (("threats.*", "did you mean threat.*?"), ("threat.*", ""), ("undeclared.*", "")):
        page = (await server[1].get("/api/events", params={"pattern": pattern})).json()
        assert page.get("note", "").endswith(note)
        assert ("note" in page) == bool(note)


async def test_pages_follow_each_other_in_both_directions(server: Server) -> None:
    await publish(server, 25)
    newest, before = await query(server, limit=10)
    assert newest == list(range(24, 14, -1))
    second, before = await query(server, limit=10, before=before)
    assert second == list(range(14, 4, -1))
    assert await query(server, limit=10, before=before) == (list(range(4, -1, -1)), None)

    oldest, after = await query(server, limit=20, newest_first=False)
    assert oldest == list(range(20))
    assert await query(server, limit=20, newest_first=False, after=after) == (list(range(20, 25)), None)


async def test_patterns_choose_types(server: Server) -> None:
    for kind in ("a.one", "a.two", "b.one"):
        await publish(server, 1, kind)
    for pattern, expected in (("a.*", 2), ("*.one", 2), ("a.one,b.*", 2), ("*", 3), ("c.*", 0)):
        assert len((await query(server, pattern=pattern))[0]) == expected
    answer = await server[1].get("/api/events?pattern=a.one&pattern=b.one")
    assert {row["event"]["type"] for row in answer.json()["events"]} == {"a.one", "b.one"}


async def test_times_choose_events(server: Server) -> None:
    now = time.time()
    for age in (7200.0, 1800.0, 10.0):
        await publish(server, 1, timestamp=now - age)
    for newest_first in (True, False):
        assert len((await query(server, since="1h", newest_first=newest_first))[0]) == 2
        assert len((await query(server, until="1h", newest_first=newest_first))[0]) == 1
        assert len((await query(server, since="3h", until="60s", newest_first=newest_first))[0]) == 2
        assert len((await query(server, since=str(now - 60), newest_first=newest_first))[0]) == 1


async def test_a_story_is_found_with_the_event_that_began_it(server: Server) -> None:
    (begin,) = await publish(server, 1)
    await publish(server, 3, "other.event")
    await publish(server, 2, "test.followed", meta={"correlation_id": begin.id, "version": "1.0"})
    answer = await server[1].get("/api/events", params={"correlation_id": begin.id, "newest_first": False})
    assert [row["event"]["type"] for row in answer.json()["events"]] == ["test.happened"] + ["test.followed"] * 2


async def test_a_rare_type_in_a_long_stream_is_searched_in_bounded_steps(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_query, "PAGE", 100)
    monkeypatch.setattr(events_api, "SEARCHED", 300)
    monkeypatch.setattr(EventIndex, "spans", lambda *_: [Span("", "", None)])  # as if nothing were indexed yet
    await publish(server, 1, "rare.event")
    await publish(server, 700)
    before: str | None = None
    steps = 0
    while True:
        found, before = await query(server, pattern="rare.*", limit=5, **({"before": before} if before else {}))
        steps += 1
        if found or before is None:
            break
    assert (found, before, steps) == ([0], None, 3)


async def test_one_event_is_found_by_its_id(server: Server) -> None:
    events = await publish(server, 50)
    late = (await publish(server, 1, timestamp=time.time() - 86_400 * 3))[0]  # as a journal shipped after a crash
    for wanted in (events[0], events[31], late):
        answer = await server[1].get(f"/api/events/{wanted.id}")
        assert answer.status_code == 200
        assert answer.json()["event"]["id"] == wanted.id
        again = await server[1].get("/api/events", params={"after": answer.json()["position"], "limit": 1})
        assert again.status_code == 200


async def test_the_catalogue_tells_each_types_schema(server: Server) -> None:
    entries = {entry["name"]: entry for entry in (await server[1].get("/api/events/catalogue")).json()}
    denied = entries["policy.action_denied"]
    assert (denied["priority"], denied["frequency"], denied["source"]) == ("CRITICAL", "Medium", "policy_service")
    assert denied["example"].keys() <= denied["payload_schema"]["$defs"]["DeniedAction"]["properties"].keys()


async def test_metrics_are_openmetrics_and_agree_with_the_stream(server: Server) -> None:
    running, client = server
    await publish(server, 7)
    reading = running.stream.subscribe("test.*", group="readers")
    await anext(reading)
    failures["policy.rule_created"] += 2
    failures["made.up_by_a_client"] += 1
    try:
        answer = await client.get("/metrics")
    finally:
        failures["policy.rule_created"] -= 2
        del failures["made.up_by_a_client"]
        await reading.aclose()
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert values["brain_stream_events_accepted_total",] == 7
    assert values["brain_stream_events_stored_total",] == 7
    assert values["brain_stream_backlog_events",] == 0
    assert values["brain_publish_failures_total", "policy.rule_created"] >= 2
    assert values["brain_publish_failures_total", "other"] >= 1
    assert ("brain_publish_failures_total", "made.up_by_a_client") not in values
    assert values["brain_group_lag_events", "readers"] + values["brain_group_pending_events", "readers"] == 7
    plain = await client.get("/metrics", headers={"Accept": "text/plain"})
    assert plain.headers["content-type"].startswith("text/plain")


async def test_probes_answer(server: Server) -> None:
    assert (await server[1].get("/healthz")).json() == {"status": "ok"}
    ready = await server[1].get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_readiness_shows_a_consumer_whose_task_ended_and_that_it_works_again(tmp_path: Path) -> None:
    async with running_server(Settings(stream=f"sqlite:///{tmp_path / 'brain.db'}", port=0)) as server:
        tasks = [one for one in asyncio.all_tasks() if one.get_name() == "consumer audit"]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

        async def shown() -> bool:
            unready = await server[1].get("/readyz")
            said = unready.json()["checks"]["consumers"].split("; consumer")
            expected = "consumer audit: its task ended by CancelledError and was started again; see the log"
            return unready.status_code == 503 and len(said) == len(tasks) and said[0] == expected

        await until(shown)
        (event,) = await publish(server, 1)
        again = f"/api/audit/proof/{event.id}"

        async def logged() -> bool:
            return (await server[1].get(again)).status_code == 200

        await until(logged)


async def test_readiness_ends_and_comes_back_with_redis(redis_server: RedisServer) -> None:
    async with running_server(without_consumers(redis_server.url)) as (_, client):
        assert (await client.get("/readyz")).status_code == 200
        redis_server.kill()
        unready = await client.get("/readyz")
        assert unready.status_code == 503
        assert unready.json()["checks"]["stream"] != "ok"
        assert unready.json()["checks"]["store"] != "ok"
        assert (await client.get("/healthz")).status_code == 200
        refused = await client.get("/api/events")
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert not re.search(r"127\.0\.0\.1|Errno|redis", refused.text, re.IGNORECASE)
        redis_server.start()
        assert (await client.get("/readyz")).status_code == 200
