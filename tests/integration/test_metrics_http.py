"""`/metrics` and `/api/metrics` of a real server: sound OpenMetrics, right figures, kept over a restart, bounded."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from brain.charter import Event
from brain.kit.database import open_database
from brain.metrics.prometheus import stored_metrics
from brain.metrics.settings import MetricsSettings
from brain.plugins import catalogue
from brain.server.health import negotiated
from brain.settings import Settings
from support.metrics_traffic import Traffic
from support.server import running_server
from support.waiting import until

OPENMETRICS = "application/openmetrics-text"
Samples = dict[tuple[str, ...], float]


@asynccontextmanager
async def serving(folder: Path, events: list[Event], **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A server that has counted these events."""
    settings = Settings(stream=f"sqlite:///{folder / 'brain.db'}", port=0, consumers=("metrics",), **more)
    async with running_server(settings) as (server, client):
        before = total(await samples(client))
        for receipt in [server.stream.publish(event) for event in events]:
            await receipt

        async def counted() -> bool:
            return total(await samples(client)) == before + len(events)

        await until(counted)
        yield client


async def samples(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith(OPENMETRICS)
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def total(found: Samples) -> float:
    return sum(value for key, value in found.items() if key[0] == "brain_events_total")


def decision(number: int, effect: str = "ALLOW", **payload: Any) -> Event:
    values = {"agent_id": f"agent-{number}", "action": "read", "effect": effect, "evaluation_time_us": 2.0, **payload}
    return Event(type="policy.rule_evaluated", source="policy_service", payload=values)


async def test_the_exposition_is_sound_openmetrics_with_units_and_exemplars(tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    meta = {"correlation_id": "story-1", "version": "1.0", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    long = {"correlation_id": "x" * 150, "version": "1.0"}
    mitigated = {"threat_id": "thr_1", "severity": "HIGH", "type": "scan", "source": "s", "duration_seconds": 200.0}
    denial = decision(1, "DENY", evaluation_time_us=40).payload
    events = [
        Event(type="policy.rule_evaluated", source="policy_service", payload=decision(1).payload, meta=meta),
        Event(type="policy.rule_evaluated", source="policy_service", payload=denial, meta=long),
        Event(type="threat.mitigated", source="threats_service", payload=mitigated, meta=meta),
    ]
    async with serving(tmp_path, events) as client:
        text = (await client.get("/metrics")).text
    assert text.endswith("\n# EOF\n")
    found = list(text_string_to_metric_families(text))
    assert len({family.name for family in found}) == len(found) > 30
    for family in found:
        assert family.documentation, family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
        if family.name.endswith("_seconds"):
            assert family.unit == "seconds", family.name
    exemplars = {
        (sample.name, *sample.labels.values()): sample.exemplar
        for family in found
        for sample in family.samples
        if sample.exemplar is not None
    }
    for exemplar in exemplars.values():
        assert sum(map(len, [*exemplar.labels, *exemplar.labels.values()])) <= 128
    evaluation = exemplars["brain_policy_evaluation_seconds_bucket", "2.5e-06"]
    assert evaluation.value == pytest.approx(2e-6)
    story = {"correlation_id": "story-1", "trace_id": trace}
    assert exemplars["brain_policy_decisions_total", "ALLOW"].labels == story
    assert ("brain_policy_decisions_total", "DENY") not in exemplars, "its correlation id is too long for one"
    slow = next(key for key in exemplars if key[0] == "brain_threat_stage_seconds_bucket")
    assert set(slow[1:]) == {"300.0", "mitigate"}
    assert exemplars[slow].labels == story
    assert any(key[0] == "brain_stream_store_delay_seconds_bucket" for key in exemplars)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", True),
        ("*/*", True),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("text/plain", False),
        ("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.2", False),
        ("application/openmetrics-text;q=0, */*", False),
        ("text/*;q=0.8, application/*;q=0.3", False),
        ("text/plain;q=broken, application/openmetrics-text;q=0.1", True),
        ("image/png", True),
    ],
)
def test_the_format_is_the_one_that_is_wanted_more(accept: str, openmetrics: bool) -> None:
    assert negotiated(accept)[1].startswith(OPENMETRICS if openmetrics else "text/plain")


async def test_what_was_counted_survives_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path, Traffic(1, start=time.time() - 3600, hours=0.9).events(300)) as client:
        before = await samples(client)
    assert total(before) == 300
    async with serving(tmp_path, []) as client:
        after = await samples(client)
    counted = ("brain_events", "brain_policy_decisions", "brain_policy_evaluation", "brain_threat", "brain_he")
    kept = {
        key: value
        for key, value in before.items()
        if key[0].startswith(counted) and "age" not in key[0] and "ratio" not in key[0] and "score" not in key[0]
    }
    assert len(kept) > 60
    assert {key: after[key] for key in kept} == kept
    assert after["brain_stream_events_accepted_total",] == 0, "this one is the process's own"


async def test_labels_stay_few_whatever_clients_send(tmp_path: Path) -> None:
    events = [decision(number % 700, action=f"action-{number}") for number in range(900)]
    events += [Event(type=f"vendor.event{n}", source=f"vendor{n}_service", payload={"severity": n}) for n in range(400)]
    async with serving(tmp_path, events, metrics={"top": 5}) as client:
        found = await samples(client)
    types = {key[1] for key in found if key[0] == "brain_events_total"}
    assert types == {*catalogue(), "other"}
    assert found["brain_events_total", "other"] == found["brain_module_events_total", "other"] == 400
    assert found["brain_severity_events_total", "other"] == 400
    for name in ("agent", "action"):
        labels = [key[1] for key in found if key[0] == f"brain_policy_{name}_decisions"]
        assert len(labels) == 6
        assert sum(found[f"brain_policy_{name}_decisions", label] for label in labels) == 900
    assert len(found) < 600


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_series_and_summary_say_what_the_events_say(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = "" if database == "sqlite" else request.getfixturevalue("postgres").url
    now = time.time()
    about = {"threat_id": "thr_1", "type": "scan", "severity": "CRITICAL", "source": "203.0.113.7"}
    waiting = {**about, "threat_id": "thr_2", "severity": "LOW"}

    def event(kind: str, ago: float, payload: dict[str, Any]) -> Event:
        module = {"policy": "policy", "threat": "threats", "immune": "immune"}[kind.split(".")[0]]
        return Event(type=kind, source=f"{module}_service", timestamp=now - ago, payload=payload)

    failing = {"severity": "CRITICAL", "kind": "AGENT_FAILURE", "module": "billing", "details": {}}
    events = [
        *[event("policy.rule_evaluated", 1000, decision(1).payload) for _ in range(6)],
        *[event("policy.rule_evaluated", 1000, decision(2, "DENY", action="delete").payload) for _ in range(2)],
        event("threat.detected", 900, {**about, "detected_at": now - 900, "metadata": {"first_seen": now - 960}}),
        event("threat.detected", 800, {**waiting, "detected_at": now - 800, "metadata": {}}),
        event("threat.status_changed", 700, {**about, "new_status": "INVESTIGATING", "changed_at": now - 700}),
        event("threat.status_changed", 600, {**about, "new_status": "MITIGATED", "changed_at": now - 600}),
        event("threat.mitigated", 600, {**about, "mitigated_at": now - 600, "duration_seconds": 300.0}),
        event("immune.event_published", 500, failing),
        event("threat.status_changed", 400, {**about, "new_status": "RESOLVED", "changed_at": now - 400}),
    ]
    async with serving(tmp_path, events, database=url) as client:
        summary = (await client.get("/api/metrics/summary", params={"since": "1h"})).raise_for_status().json()

        async def series(name: str, by: str | None = None, **more: Any) -> dict[str, list[list[float]]]:
            asked = {"name": name, "since": "1h", "step": 60, **({"by": by} if by else {}), **more}
            answer = (await client.get("/api/metrics/series", params=asked)).raise_for_status().json()
            assert answer["step"] == asked["step"]
            assert (answer["open"] is not None) == name.startswith("mtt")
            assert answer["open"] is None or answer["open"]["oldest_id"] == "thr_2"
            return {next(iter(line["labels"].values()), ""): line["points"] for line in answer["series"]}

        assert summary["events"] == len(events)
        assert summary["decisions"] == {"ALLOW": 6, "DENY": 2, "WARN": 0, "AUDIT": 0}
        assert summary["denial_rate"] == 0.25
        assert summary["denial_rate_by_agent"] == [
            {"name": "agent-2", "decisions": 2, "denials": 2, "denial_rate": 1.0},
            {"name": "agent-1", "decisions": 6, "denials": 0, "denial_rate": 0.0},
        ]
        assert summary["denial_rate_by_action"][0]["name"] == "delete"
        stages = [summary[f"{name}_seconds"] for name in ("mttd", "mtti", "mttm", "mttr")]
        assert stages == pytest.approx([60.0, 200.0, 300.0, 500.0], abs=1e-3)
        assert summary["resolution_rate"] == 0.5
        assert summary["open"]["count"] == 1
        assert summary["open"]["oldest_id"] == "thr_2"
        assert 800 <= summary["open"]["oldest_age_seconds"] < 860
        assert summary["health_score"] == 74  # one health event, one open threat

        assert {name: sum(value for _, value in points) for name, points in (await series("events")).items()} == {
            "policy.rule_evaluated": 8,
            "threat.detected": 2,
            "threat.status_changed": 3,
            "threat.mitigated": 1,
            "immune.event_published": 1,
        }
        assert set(await series("events", "module")) == {"policy", "threats", "immune"}
        assert set(await series("events", "severity")) == {"CRITICAL", "LOW"}
        effects = await series("decisions", "effect")
        assert [point for point in effects["DENY"] if point[1]] == [[(now - 1000) // 60 * 60, 2]]
        assert len(effects["DENY"]) in (60, 61), "a point for every step"
        assert (await series("decisions", "agent", top=1)).keys() == {"agent-1", "other"}
        assert (await series("denials", "action", top=1)).keys() == {"delete", "other"}
        assert [rate for _, rate in (await series("denial_rate", "agent"))["agent-2"]] == [1.0]
        assert [round(value) for _, value in (await series("mttm_seconds"))[""]] == [300]
        scores = [score for _, score in (await series("health_score"))[""]]
        assert scores[-1] == 74
        assert max(count for _, count in (await series("open_threats"))[""]) == 2
        assert (await series("open_threats", step=600))[""][-1][1] == 1
        assert (await series("evaluation_seconds"))[""][0][1] == pytest.approx(2e-6)

        for wrong, field in (
            ({"name": "weather"}, "name"),
            ({"name": "events", "by": "colour"}, "by"),
            ({"name": "health_score", "by": "agent"}, "by"),
            ({"name": "events", "since": "1h", "until": "2h"}, "since"),
            ({"name": "events", "since": "7d", "step": 10, "until": "yesterday"}, "until"),
            ({"name": "health_score", "since": "23h", "step": 10}, "step"),
            ({"name": "events", "since": "2020-01-01", "step": 3600}, "step"),
        ):
            refused = await client.get("/api/metrics/series", params=wrong)
            assert refused.status_code == 422, wrong
            assert refused.json()["detail"].startswith(f"{field}: "), refused.json()


def test_a_database_that_does_not_answer_is_told_and_hides_nothing_else() -> None:
    engine = open_database("postgresql://nobody@127.0.0.1:1/nothing")
    (up,) = stored_metrics(engine, MetricsSettings(), time.time)
    assert (up.name, up.samples[0].value) == ("brain_metrics_database_up", 0)


async def test_the_plain_format_has_the_same_values(tmp_path: Path) -> None:
    async with serving(tmp_path, [decision(1)]) as client:
        wanted = await samples(client)
        text = (await client.get("/metrics", headers={"Accept": "text/plain"})).text
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in plain_families(text)
        for sample in family.samples
    }
    assert found.keys() == wanted.keys()


FLEET = ("hardware", "telemetry", "missions", "dna", "detections", "playbooks")
"""The plug-ins whose metrics are in their own pages."""


async def test_the_docs_name_every_metric_and_setting(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    named = set(re.findall(r"`(brain_[a-z0-9_]+)`", page))
    named |= {f"brain_stream_events{suffix}" for suffix in re.findall(r"`(_[a-z]+)`", page) if suffix != "_total"}
    async with serving(tmp_path, []) as client:
        text = (await client.get("/metrics")).text
    found = {family.name for family in text_string_to_metric_families(text)}
    elsewhere = {name for name in found if name.split("_")[1] in FLEET}
    assert named == found - elsewhere
    pages = "".join((Path(__file__).parents[2] / "docs" / f"{name}.md").read_text() for name in FLEET)
    assert elsewhere <= {*re.findall(r"`(brain_[a-z0-9_]+)`", pages)}
    for name, field in MetricsSettings.model_fields.items():
        default = f"`{field.default:g}`" if isinstance(field.default, float | int) else "none"
        assert f"| `{name}` | `BRAIN_METRICS__{name.upper()}`" in page
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"| {default} |" in row


async def test_there_is_no_health_before_the_first_event(tmp_path: Path) -> None:
    event = decision(1)
    async with serving(tmp_path, [event]) as client:
        answer = (await client.get("/api/metrics/series", params={"name": "health_score", "since": "24h"})).json()
        [line] = answer["series"]
        moments = [at for at, _ in line["points"]]
        assert answer["since"] < event.timestamp - 80_000
        assert moments[0] >= event.timestamp - answer["step"] - 60  # a bucket is as long as that
        assert moments[-1] <= answer["until"]
