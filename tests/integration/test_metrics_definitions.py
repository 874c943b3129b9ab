"""Metrics that users define, limits and objectives, on real servers and by the commands of docs/metrics.md."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from brain import Event, EventStream, ThreatService
from brain.kit.outbox import EventShipping, ReportDelivery
from brain.metrics.announce import CONSUMER
from brain.metrics.backfill import backfill
from brain.metrics.recount import verify
from brain.metrics.settings import MetricsSettings
from brain.metrics.sources import StreamSource
from brain.metrics.watcher import Watcher
from brain.settings import Settings
from support.command import Command
from support.consuming import caught_up, consuming, settings_in
from support.metrics_defined import TWENTY, counting, defined
from support.metrics_tables import contents, open_tables
from support.metrics_traffic import Traffic
from support.postgres_server import PostgresServer
from support.server import running_server
from support.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
(FILE,) = re.findall(r"^`metrics.toml`\n\n```toml\n(.*?)^```", PAGE, re.M | re.S)
(LINES,) = re.findall(r"^```sh\n(brain metrics define.*?)^```", PAGE, re.M | re.S)


async def publish(stream: EventStream, events: Sequence[Event]) -> None:
    for receipt in [stream.publish(event) for event in events]:
        await receipt


def decisions(count: int, effect: str, agent: str = "a1") -> list[Event]:
    payload = {"agent_id": agent, "action": "pay", "effect": effect, "evaluation_time_us": 2.0}
    return [Event(type="policy.rule_evaluated", source="policy_service", payload=payload) for _ in range(count)]


def recent(stream: EventStream, pattern: str) -> list[dict[str, Any]]:
    return [event.payload for event in stream.replay_sync(pattern)]


async def test_the_commands_of_the_page(tmp_path: Path, brain: Command) -> None:
    (tmp_path / "metrics.toml").write_text(FILE)
    async with consuming(settings_in(tmp_path)) as context:
        await publish(context.stream, Traffic(1, start=time.time() - 3000, hours=0.8).events(200))
        await caught_up(context.database, context.stream.backend)
    ran = [await asyncio.to_thread(brain, *line.partition("#")[0].split()[1:]) for line in LINES.strip().splitlines()]
    assert [(one.code, one.err) for one in ran[1:4]] == [(0, "")] * 3
    backfilled, listed, shown, slo, verified = ran
    assert "200 recorded events counted for asked, decision_microseconds, refused" in backfilled.err, backfilled.err
    assert "metric refused: counter of policy.rule_evaluated; definition 1 of " in listed.out
    assert "from the first event on" in listed.out or "counts after position 0" in listed.out
    assert "agent=agent-1" in shown.out
    assert slo.out.startswith("decisions: ")
    assert "14.4" not in slo.err
    assert verified.code == 0, verified.out + verified.err
    assert verified.out.startswith("200 events recounted, ")
    async with (
        EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream,
        consuming(settings_in(tmp_path)) as context,
    ):
        await until(lambda: len(recent(stream, "metrics.aggregation_completed")) == 2)
        jobs = {one["job"]: one for one in recent(stream, "metrics.aggregation_completed")}
        assert {name: one["entries_processed"] for name, one in jobs.items()} == {"backfill": 200, "verify": 200}
        (changed,) = recent(stream, "metrics.definitions_changed")
        assert changed["begun"] == ["asked", "decision_microseconds", "refused", "time_to_mitigate"]


async def test_a_backfill_and_a_change_equal_a_recount(tmp_path: Path) -> None:
    async with consuming(settings_in(tmp_path)) as context:
        traffic = Traffic(2, agents=300, start=time.time() - 3000, hours=0.8)
        engine, backend = context.database, context.stream.backend
        await publish(context.stream, traffic.events(300))
        await caught_up(engine, backend)
        defined(engine, TWENTY)
        await publish(context.stream, traffic.events(200))
        await asyncio.to_thread(backfill, engine, backend, ["by_agent", "how_long", "last_time_by"])
        await caught_up(engine, backend)
        other = {**TWENTY, "denied": {"kind": "counter", "events": "policy.*"}}
        del other["moves"]
        defined(engine, other)
        await publish(context.stream, traffic.events(200))
        await caught_up(engine, backend)
        verdict = await asyncio.to_thread(verify, engine, lambda stored: StreamSource(backend, stored))
        assert verdict.differences == []
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE metrics_defined SET sum = sum + 1 WHERE step = 3600 AND epoch = 1")
        altered = await asyncio.to_thread(verify, engine, lambda stored: StreamSource(backend, stored))
    assert {one.table for one in altered.differences} == {"metrics_defined"}


async def test_routes_define_and_show(tmp_path: Path) -> None:
    tables = MetricsSettings.model_validate({"definitions": {"from_file": {"kind": "counter", "events": "task.*"}}})
    settings = Settings(stream=f"sqlite:///{tmp_path}/brain.db", port=0, consumers=("metrics",), metrics=tables)  # type: ignore[call-arg]
    given: dict[str, Any] = {
        "version": 1,
        "definitions": {
            "failures": {"kind": "counter", "events": "task.failed", "labels": ["agent_id"]},
            "took": {
                "kind": "histogram",
                "events": "task.*",
                "value": "seconds",
                "bounds": [1, 10],
                "help": "Time",
            },
        },
        "slos": {"tasks": {"total": "from_file", "bad": "failures", "objective": 0.9}},
        "limits": {"failing": {"metric": "failures", "by": "agent_id", "above": 2}},
    }
    async with running_server(settings) as (server, client):

        async def version() -> bool:
            return bool((await client.get("/api/metrics/definitions")).json()["version"] == 1)

        await until(version)
        answer = await client.put("/api/metrics/definitions", json=given)
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        assert [(one["name"], one["source"], one["epoch"]) for one in shown["definitions"]] == [
            ("failures", "api", 1),
            ("from_file", "settings", 1),
            ("took", "api", 1),
        ]
        assert (await client.put("/api/metrics/definitions", json=given)).status_code == 409
        del given["version"]
        given["definitions"]["from_file"] = given["definitions"]["failures"]
        refused = await client.put("/api/metrics/definitions", json=given)
        assert (refused.status_code, "definitions.from_file" in refused.text) == (422, True), refused.text
        events = [
            Event(type=type, source="missions_service", payload={"agent_id": agent, "seconds": seconds})
            for type, agent, seconds in (("task.failed", "a1", 0.5), ("task.failed", "a2", 4), ("task.done", "a1", 40))
        ]
        await publish(server.stream, events)

        async def values(name: str, **more: Any) -> dict[str, float]:
            found = (await client.get("/api/metrics/series", params={"name": name, **more})).json()
            return {
                next(iter(line["labels"].values()), ""): sum(value for _, value in line["points"])
                for line in found["series"]
            }

        async def counted() -> bool:
            return await values("from_file") == {"": 3}

        await until(counted)
        assert await values("failures") == {"a1": 1, "a2": 1}
        assert await values("took", statistic="sum") == {"": 44.5}
        assert (
            await client.get("/api/metrics/series", params={"name": "took", "statistic": "last"})
        ).status_code == 422
        (slo,) = (await client.get("/api/metrics/slos")).json()
        assert (slo["burn_rates"]["3600"], slo["burning_since"]) == (pytest.approx(20 / 3), None)
        text = (await client.get("/metrics")).text
    for line in (
        'brain_defined_failures_total{agent_id="a1"} 1.0',
        "# HELP brain_defined_took Time",
        'brain_defined_took_bucket{le="1.0"} 1.0',
        'brain_defined_took_bucket{le="+Inf"} 3.0',
        "brain_defined_took_sum 44.5",
        'brain_limit_crossed{limit="failing"} 0.0',
        'brain_slo_burning{slo="tasks"} 0.0',
    ):
        assert line in text, line


async def test_crossings_are_announced_and_reported_once(tmp_path: Path) -> None:
    """A limit on denials by agent becomes a threat, a burning objective a health event; both are cleared later."""
    failed: dict[str, Any] = {"kind": "counter", "events": "policy.*", "where": [{"field": "effect", "value": "DENY"}]}
    async with consuming(settings_in(tmp_path)) as context:
        defined(
            context.database,
            {"all": {"kind": "counter", "events": "policy.*"}, "bad": failed},
            limits={
                "refusals": {"metric": "denials", "by": "agent", "above": 20, "clear": 5},
                "quiet": {"metric": "all", "below": 1, "window_seconds": 60},
            },
            slos={"decisions": {"total": "all", "bad": "bad", "objective": 0.99}},
        )
        await publish(context.stream, [*decisions(30, "DENY", "a7"), *decisions(70, "ALLOW"), *decisions(5, "DENY")])
        await caught_up(context.database, context.stream.backend)
        now = time.time()
        shipping = EventShipping(context.database, CONSUMER, context.stream)
        watchers = [Watcher(context.database, lambda: 0, lambda: now) for _ in range(2)]
        await asyncio.gather(*(watcher.look_once() for watcher in [*watchers, watchers[0]]))
        for watcher in watchers:
            await watcher.look_once()
        assert await ReportDelivery(context).deliver()
        await asyncio.to_thread(shipping.ship)
        (crossed,) = recent(context.stream, "metrics.limit_crossed")
        assert (crossed["labels"], crossed["value"], crossed["limit"]) == ({"agent": "a7"}, 30, 20)
        (burning,) = recent(context.stream, "metrics.slo_burning")
        assert (burning["slo"], burning["burn_limit"]) == ("decisions", 14.4)
        (threat,) = await ThreatService(context.stream, context.store).list_threats()
        assert (threat.type, threat.source, str(threat.severity)) == ("excessive_denials", "a7", "HIGH")
        await until(lambda: bool(recent(context.stream, "immune.critical_event")))  # it is shipped by itself
        (health,) = recent(context.stream, "immune.critical_event")
        assert (health["module"], health["kind"]) == ("slo decisions", "PERFORMANCE_DEGRADATION")
        now += 600
        for watcher in watchers:
            await watcher.look_once()
        await asyncio.to_thread(shipping.ship)
        (cleared,) = recent(context.stream, "metrics.limit_cleared")
        assert (cleared["labels"], cleared["value"], cleared["reason"]) == ({"agent": "a7"}, 0, "value")
        assert [one["limit_name"] for one in recent(context.stream, "metrics.limit_crossed")] == ["refusals", "quiet"]
        defined(context.database, {})
        await watchers[0].look_once()
        await asyncio.to_thread(shipping.ship)
        assert [one["reason"] for one in recent(context.stream, "metrics.slo_cleared")] == ["definition"]


def test_the_settings_name_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="give one of above and below"):
        MetricsSettings.model_validate({"limits": {"m": {"metric": "denials"}}})


def test_postgresql_has_the_same_rows(postgres: PostgresServer) -> None:
    """Labels that give up their rows among them, in batches whose rows are kept in memory."""
    by_threat = {"kind": "counter", "events": "threat.*", "labels": ["detected_at", "changed_at", "mitigated_at"]}
    by_both = {"kind": "gauge", "events": "*", "value": "evaluation_time_us", "labels": ["agent_id", "action"]}
    events = Traffic(11, agents=3000, hours=0.01).events(1300)
    found = []
    for engine in (open_tables(), open_tables(postgres.url)):
        defined(engine, {**TWENTY, "by_both": by_both, "by_threat": by_threat})
        found.append(contents(counting(engine, events, 250)))
        engine.dispose()
    assert found[0] == found[1]
    assert "other" in {label for _, _, _, label, *_ in found[0]["metrics_defined"]}, "some have given up their rows"
