"""Alerting over real HTTP against the stand-ins, which name the vendors' pages that they were written from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from brain import EventStream, HealthEvent, ImmuneService, ThreatService
from brain.alerting.configuration import configuration
from brain.alerting.service import AlertService
from brain.alerting.settings import AlertingSettings
from brain.demo.stand_ins import StandIns
from brain.kit import outbox
from brain.kit.database import open_database
from brain.settings import Settings
from support.alerting_running import Running, paging, running
from support.server import running_server
from support.waiting import until


@pytest_asyncio.fixture
async def stand_ins() -> AsyncIterator[StandIns]:
    made = StandIns()
    async with made.running():
        yield made


def told(stand_ins: StandIns) -> Counter[tuple[str, str]]:
    """How often the webhook was told what of which thing."""
    return Counter((message["dedup_key"], message["action"]) for message in stand_ins.webhook.messages.values())


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_threat_is_paged_taken_on_and_resolved_everywhere(
    database: str, tmp_path: Path, stand_ins: StandIns, request: pytest.FixtureRequest
) -> None:
    url = None if database == "sqlite" else request.getfixturevalue("postgres").url
    async with running(tmp_path, stand_ins, url, public_url="https://brain.example/") as alerting:
        threat = await alerting.threats.create_threat("ssh_brute_force", "203.0.113.77", "HIGH", "80 failed passwords")
        await until(lambda: len(stand_ins.webhook.messages) == 1)
        await alerting.threats.update_threat_status(threat.id, "INVESTIGATING")
        await until(lambda: len(stand_ins.webhook.messages) == 2)
        await alerting.threats.update_threat_status(threat.id, "MITIGATED", "blocked")
        await until(lambda: len(stand_ins.webhook.messages) == 3 and alerting.unsaid() == 0)
        events = await alerting.events()
    (page, _, end) = stand_ins.webhook.messages.values()
    assert (page["action"], end["action"]) == ("trigger", "resolve")
    assert page["dedup_key"] == end["dedup_key"] == threat.id
    assert page["links"] == [
        {"text": f"Threat {threat.id}", "url": f"https://brain.example/#/threats?timeline={threat.id}"}
    ]
    assert [step["kind"] for step in page["timeline"]] == ["threat.detected"]
    (alert,) = stand_ins.pagerduty.alerts
    assert (alert["dedup_key"], alert["status"], alert["severity"]) == (threat.id, "resolved", "error")
    actions = [one.body["event_action"] for one in stand_ins.pagerduty.received]
    assert actions == ["trigger", "acknowledge", "resolve"]
    assert len(stand_ins.slack.received) == 3
    assert Counter(event.type for event in events) == {"alert.notified": 9}
    assert {event.correlation_id for event in events} == {threat.id}


async def test_what_people_do_is_published_once_also_when_the_process_ended_before(
    tmp_path: Path, stand_ins: StandIns
) -> None:
    async def published(alerting: Running) -> Counter[str]:
        return Counter([event.type async for event in alerting.stream.replay("alert.*")])

    async def has(alerting: Running, number: int) -> bool:
        return (await published(alerting)).total() == number

    async with running(tmp_path, stand_ins) as alerting:
        silence = alerting.service.add_silence(["kind=threat"], "ann", "known", time.time() + 60)
        await until(lambda: has(alerting, 1))
    engine = open_database(f"sqlite:///{tmp_path}/brain-consumers.db")
    AlertService(engine, configuration(AlertingSettings())).remove_silence(silence.id)  # and dies at this moment
    engine.dispose()
    async with running(tmp_path, stand_ins) as alerting:
        await until(lambda: has(alerting, 2))
        assert await published(alerting) == {"alert.silence_added": 1, "alert.silence_removed": 1}
        assert [one for one in alerting.service.notifiers() if one.name.startswith("/")] == []


@pytest.mark.parametrize("mode", ["down", "drop"])
async def test_services_that_are_down_for_the_whole_run_lose_and_double_nothing(
    mode: str, tmp_path: Path, stand_ins: StandIns
) -> None:
    stand_ins.fail(mode, seconds=1)  # type: ignore[arg-type]
    async with running(tmp_path, stand_ins, send_timeout=2.0) as alerting:  # what is under way is held for 2.5 s
        ids = [(await alerting.threats.create_threat("scan", f"203.0.113.{n}", "HIGH")).id for n in range(12)]
        await until(lambda: sum(bool(shown.notifications) for shown in alerting.service.alerts()) == 12)
        for id in ids[:6]:
            await alerting.threats.update_threat_status(id, "MITIGATED")
        await until(lambda: len(alerting.service.alerts("firing")) == 6)
    assert stand_ins.webhook.messages == {}
    stand_ins.recover()
    async with running(tmp_path, stand_ins) as alerting:  # restarted; Slack gets twice what it answers too late
        await until(lambda: len(told(stand_ins)) == 18 and alerting.unsaid() == 0, 60)
    assert told(stand_ins) == Counter({(id, "trigger"): 1 for id in ids} | {(id, "resolve"): 1 for id in ids[:6]})
    assert len(stand_ins.slack.received) == 18
    alerts = {alert["dedup_key"]: (alert["triggers"], alert["status"]) for alert in stand_ins.pagerduty.alerts}
    assert alerts == {id: (1, "resolved" if id in ids[:6] else "triggered") for id in ids}
    assert len(stand_ins.pagerduty.alerts) == 12


async def test_a_dead_service_holds_up_no_other(tmp_path: Path, stand_ins: StandIns) -> None:
    stand_ins.pagerduty.fail("slow", seconds=30)
    stand_ins.slack.fail("error")
    async with running(tmp_path, stand_ins, send_timeout=2.0) as alerting:
        await alerting.threats.create_threat("scan", "203.0.113.1", "HIGH")
        await until(lambda: len(stand_ins.webhook.messages) == 1)
        (shown,) = alerting.service.alerts()
        assert {sent.notifier for sent in shown.notifications if sent.state == "waiting"} >= {"pager", "chat"}


async def test_who_refused_the_page_is_not_told_the_end(tmp_path: Path, stand_ins: StandIns) -> None:
    gone = {"kind": "slack", "webhook_url": f"{stand_ins.url}/slack/of/nobody"}
    async with running(
        tmp_path, stand_ins, notifiers={"gone": gone}, routes=[{"name": "all", "to": ["gone"], "group_wait": 0}]
    ) as alerting:
        threat = await alerting.threats.create_threat("scan", "203.0.113.1", "HIGH")

        def states() -> list[str]:
            return [sent.state for shown in alerting.service.alerts() for sent in shown.notifications]

        await until(lambda: states() == ["refused"])
        assert "404" in str(alerting.service.alerts()[0].notifications[0].error)
        await alerting.threats.update_threat_status(threat.id, "MITIGATED")
        await until(lambda: states() == ["sent", "refused"])
        events = await alerting.events()
        assert [event.type for event in events] == ["alert.notification_failed"]
        assert alerting.retry("gone") == 1  # too late: it is over
        await until(lambda: states() == ["sent", "sent"])
    assert stand_ins.slack.received == []


async def test_what_was_refused_can_be_sent_once_more(tmp_path: Path, stand_ins: StandIns) -> None:
    routes = [{"name": "all", "to": ["chat"], "group_wait": 0}]
    gone = {"kind": "slack", "webhook_url": f"{stand_ins.url}/slack/of/nobody"}
    async with running(tmp_path, stand_ins, notifiers={"chat": gone}, routes=routes) as alerting:
        await alerting.threats.create_threat("scan", "203.0.113.1", "HIGH")
        await until(lambda: alerting.service.notifiers()[0].refused == 1)
    async with running(tmp_path, stand_ins, routes=routes) as alerting:
        assert alerting.retry("chat") == 1
        await until(lambda: len(stand_ins.slack.received) == 1)
        await until(lambda: alerting.service.notifiers()[1].sent == 1)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_the_outbox_of_the_version_before_is_taken_over(
    database: str, tmp_path: Path, stand_ins: StandIns, request: pytest.FixtureRequest
) -> None:
    """That version wrote the same rows under the consumer `soc`: sent, waiting, being sent, and refused."""
    url = None if database == "sqlite" else request.getfixturevalue("postgres").url
    gone = {"kind": "slack", "webhook_url": f"{stand_ins.url}/slack/of/nobody"}
    there = {"kind": "slack", "webhook_url": f"{stand_ins.url}/slack/services/T0/B0/token"}
    hook = paging(stand_ins.url)["notifiers"]["hook"]
    routes = [{"name": "all", "to": ["chat", "hook"], "group_wait": 0}]
    quick = {"send_timeout": 2.0, "routes": routes}
    async with running(tmp_path, stand_ins, url, notifiers={"chat": gone, "hook": hook}, **quick) as alerting:
        first = (await alerting.threats.create_threat("scan", "203.0.113.1", "HIGH")).id
        await until(lambda: len(stand_ins.webhook.messages) == 1 and alerting.unsaid() == 0)
        stand_ins.webhook.fail("down")
        others = [(await alerting.threats.create_threat("scan", f"203.0.113.{n}", "HIGH")).id for n in (2, 3)]
        await until(lambda: alerting.service.notifiers()[1].waiting == 2)
        await until(lambda: alerting.service.notifiers()[0].refused == 3)
    engine = open_database(url or f"sqlite:///{tmp_path}/brain-consumers.db")
    rows = outbox.outbox
    with engine.begin() as db:
        db.execute(sa.update(rows).values(consumer="soc"))
        last = sa.select(sa.func.max(rows.c.id)).where(rows.c.state == "waiting").scalar_subquery()
        claim = {"claimed_by": "a process of the version before", "claimed_until": time.time() + 1.5}
        db.execute(sa.update(rows).where(rows.c.id == last).values(**claim))
    stand_ins.recover()
    async with running(tmp_path, stand_ins, url, notifiers={"chat": there, "hook": hook}, **quick) as alerting:
        await until(lambda: len(stand_ins.webhook.messages) == 3)
        assert alerting.retry("chat") == 3
        await until(lambda: len(stand_ins.slack.received) == 3)
        await alerting.threats.update_threat_status(first, "MITIGATED")
        await until(lambda: len(stand_ins.webhook.messages) == 4 and alerting.unsaid() == 0)
    assert told(stand_ins) == Counter({(id, "trigger"): 1 for id in [first, *others]} | {(first, "resolve"): 1})
    with engine.begin() as db:
        assert db.execute(sa.select(rows.c.consumer).distinct()).scalars().all() == ["alerting"]
    engine.dispose()


async def test_what_is_over_before_the_start_is_told_to_nobody(tmp_path: Path, stand_ins: StandIns) -> None:
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        threats = ThreatService(stream)
        for n in range(30):
            threat = await threats.create_threat("scan", f"203.0.113.{n}", "HIGH")
            await threats.update_threat_status(threat.id, "MITIGATED" if n else "ESCALATED")
            story = threat.id if n == 0 else None
            await ImmuneService(stream).publish_event(
                HealthEvent("CRITICAL", "ERROR_SPIKE", "billing", "errors", correlation_id=story)
            )
    async with running(tmp_path, stand_ins) as alerting:
        await until(lambda: len(stand_ins.webhook.messages) == 1 and alerting.unsaid() == 0)
        firing = alerting.service.alerts("firing")
    (page,) = stand_ins.webhook.messages.values()
    assert page["summary"].startswith("escalated")
    assert {shown.labels["kind"]: shown.inhibited_by is not None for shown in firing} == {
        "threat": False,
        "health": True,
    }


async def test_a_page_carries_the_decisions_behind_it_and_their_proofs(tmp_path: Path, stand_ins: StandIns) -> None:
    settings = Settings(
        stream=f"sqlite:///{tmp_path}/brain.db", port=0, alerting=paging(stand_ins.url), consumers=("audit", "alerting")
    )
    rule = {"id": "guests", "name": "Guests", "effect": "DENY", "conditions": []}
    request = {"agent_id": "a1", "agent_role": "guest", "action": "drop", "resource": "db"}
    async with running_server(settings) as (_, client):
        await client.post("/api/policy/rules", json=rule)
        for _ in range(5):  # so many make a threat
            await client.post("/api/policy/evaluate", json=request, headers={"X-Correlation-Id": "story-7"})
        await until(lambda: len(stand_ins.webhook.messages) == 1)
        (page,) = stand_ins.webhook.messages.values()

        async def counted_as_sent() -> bool:
            shown = (await client.get("/metrics")).text
            return 'brain_alerting_outbox_messages{channel="hook",state="sent"} 1.0' in shown

        await until(counted_as_sent)
        assert 'brain_alerting_alerts_firing{severity="MEDIUM"} 1.0' in (await client.get("/metrics")).text
        await until(lambda: len(stand_ins.pagerduty.received) == 1)
        proof = (await client.get(f"/api/audit/proof/{page['decisions'][0]['event_id']}")).json()
    assert len(page["decisions"]) == 5
    for decision in page["decisions"]:
        assert (decision["agent"], decision["effect"], decision["rule_id"]) == ("a1", "DENY", "guests")
        assert decision["proof"]["tree_size"] > decision["proof"]["index"] >= 0
    assert page["decisions"][0]["proof"]["leaf_hash"] == proof["leaf_hash"]
    assert [step["kind"] for step in page["timeline"]] == ["policy.rule_evaluated"] * 5 + ["threat.detected"]
    (sent,) = [one.body for one in stand_ins.pagerduty.received]
    # Each message is proven against the checkpoint that is the newest when it is sent.
    shown = sent["payload"]["custom_details"]["decisions"]
    assert [_leaf(decision) for decision in shown] == [_leaf(decision) for decision in page["decisions"]]


def _leaf(decision: dict[str, Any]) -> tuple[str, int, str]:
    return decision["event_id"], decision["proof"]["index"], decision["proof"]["leaf_hash"]


async def test_a_page_is_held_while_healing_runs_and_sent_when_it_fails(tmp_path: Path, stand_ins: StandIns) -> None:
    async with running(tmp_path, stand_ins, healing_kinds=["AGENT_FAILURE"], healing_timeout=600) as alerting:
        for agent in ("billing", "search"):
            await alerting.immune.publish_event(
                HealthEvent("CRITICAL", "AGENT_FAILURE", agent, f"{agent} is away", correlation_id=f"story {agent}")
            )
        await until(lambda: len(alerting.service.alerts()) == 2)
        assert all(shown.held_until is not None for shown in alerting.service.alerts())
        for agent, outcome in (("billing", "healed"), ("search", "failed")):
            await alerting.immune.publish_event(
                HealthEvent(
                    "INFO",
                    "SELF_HEALING_ACTION",
                    agent,
                    "restarted",
                    {"outcome": outcome},
                    correlation_id=f"story {agent}",
                )
            )
        await until(lambda: len(stand_ins.webhook.messages) == 1)
        await until(lambda: len(alerting.service.alerts("firing")) == 1)
    assert told(stand_ins) == {("health search AGENT_FAILURE", "trigger"): 1}
