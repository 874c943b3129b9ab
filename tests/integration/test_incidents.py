"""Incidents from the stream to what people see of them, on a real stream and both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from brain import Condition, Event, HealthEvent, PolicyEngine, Rule, correlation
from brain.charter import IncidentState as State
from brain.charter import Severity
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.context import open_plugin
from brain.plugins import plugins
from brain.settings import load_settings
from brain.testing import RecordingStream
from support.command import Command
from support.incident_house import Running, running
from support.waiting import until


@pytest.fixture(params=["sqlite", "postgresql"])
async def at_work(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    url = request.getfixturevalue("postgres").url if request.param == "postgresql" else None
    async with running(tmp_path, database=url, reopen_window=3600.0) as found:
        yield found


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, reopen_window=3600.0) as found:
        yield found


async def status(at_work: Running, threat: str) -> str:
    return (await at_work.threats.get_threat(threat)).status


def kinds(incident: dict[str, Any]) -> list[str]:
    return [entry["kind"] for entry in reversed(incident["timeline"])]


async def test_threats_and_health_of_one_story_share_an_incident_that_ends_with_the_last_of_them(
    at_work: Running,
) -> None:
    with correlation("story-7"):
        story = await at_work.escalated(severity="MEDIUM")
        other = await at_work.escalated("198.51.100.4", "HIGH")
        number = await at_work.immune.publish_event(HealthEvent("CRITICAL", "AGENT_FAILURE", "billing", "is gone"))
    incident = await at_work.becomes((await at_work.one("story-7"))["id"], lambda found: len(found["health"]) == 1)
    assert incident["severity"] == "CRITICAL"
    assert incident["title"] == "ssh_brute_force from 203.0.113.77"
    assert {threat["id"] for threat in incident["threats"]} == {story, other}
    assert "billing" in incident["agents"]
    await at_work.threats.update_threat_status(story, "MITIGATED")
    await at_work.threats.update_threat_status(other, "IGNORED", "it was us")
    details = {"heals": number, "outcome": "healed"}
    healed = HealthEvent("INFO", "SELF_HEALING_ACTION", "billing", "restarted", details, correlation_id="story-7")
    await at_work.immune.publish_event(healed)
    found = await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
    assert found["timeline"][0]["text"].endswith("all its threats are mitigated and its health is healed")
    assert kinds(found)[0] == "opened"
    assert found["resolved_at"] >= found["opened_at"]
    assert {event["type"] for event in found["events"]} >= {"threat.escalated", "threat.mitigated"}


async def test_a_story_that_comes_back_reopens_its_incident_or_opens_a_linked_one(at_work: Running) -> None:
    story = await at_work.escalated()
    incident = await at_work.one(story)
    await at_work.threats.update_threat_status(story, "MITIGATED")
    await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
    await at_work.threats.update_threat_status(story, "ESCALATED", "it is back")
    await at_work.becomes(incident["id"], lambda found: found["state"] == "IN_PROGRESS")
    await at_work.threats.update_threat_status(story, "MITIGATED")
    await at_work.becomes(incident["id"], lambda found: found["state"] == "RESOLVED")
    await at_work.incidents.move(incident["id"], State.CLOSED, by="ann")
    await at_work.threats.update_threat_status(story, "ESCALATED", "once more")

    async def two() -> bool:
        return len(await at_work.incidents.list(correlation_id=story)) == 2

    await until(two)
    second, first = await at_work.incidents.list(correlation_id=story)
    assert (first["id"], first["state"]) == (incident["id"], "CLOSED")
    assert (second["previous"], second["state"], second["number"]) == (first["id"], "NEW", 2)
    await at_work.quiet()
    kinds: dict[str | None, list[str]] = {}  # in order for each incident; two incidents are announced apart
    async for event in at_work.stream.replay("incident.*"):
        kinds.setdefault(event.target, []).append(event.type)
    assert kinds == {
        first["id"]: [
            "incident.opened",
            "incident.resolved",
            "incident.reopened",
            "incident.resolved",
            "incident.closed",
        ],
        second["id"]: ["incident.opened"],
    }


async def test_what_people_do_to_an_incident_its_threats_follow(at_work: Running) -> None:
    with correlation("story-8"):
        escalated = await at_work.escalated()
        calm = (await at_work.threats.create_threat("scan", "198.51.100.4")).id
    incident = await at_work.one("story-8")
    await at_work.becomes(incident["id"], lambda found: len(found["threats"]) == 2)
    await at_work.incidents.move(incident["id"], State.IN_PROGRESS, "on it", "ann")
    await at_work.quiet()
    assert [await status(at_work, id) for id in (escalated, calm)] == ["ESCALATED", "INVESTIGATING"]
    await at_work.incidents.move(incident["id"], State.RESOLVED, "patched", "ann")
    await at_work.quiet()
    assert [await status(at_work, id) for id in (escalated, calm)] == ["RESOLVED", "RESOLVED"]
    threat = await at_work.threats.get_threat(escalated)
    assert [move.new for move in threat.history[-2:]] == ["MITIGATED", "RESOLVED"]
    assert threat.history[-1].reason == "incident 1 is RESOLVED: patched"
    found = await at_work.incidents.get(incident["id"])
    assert found["state"] == "RESOLVED"  # what it set off did not move it again


async def test_an_incident_by_hand_has_an_owner_notes_and_one_story(at_work: Running) -> None:
    opened = await at_work.incidents.open("wrong invoices", Severity.HIGH, text="three calls", by="bob")
    story = opened["correlation_id"]
    with pytest.raises(Conflict, match=opened["id"]):
        await at_work.incidents.open("again", correlation_id=story)
    await at_work.incidents.assign(opened["id"], "ann", "bob")
    found = await at_work.incidents.note(opened["id"], "the tax table is old", "ann")
    assert found["owner"] == "ann"
    assert kinds(found) == ["opened", "owner", "note"]
    with pytest.raises(InvalidInput, match="text"):
        await at_work.incidents.note(opened["id"], "  ")
    with pytest.raises(NotFound, match="brain incidents list"):
        await at_work.incidents.note("inc_0\0", "hello")
    with pytest.raises(InvalidInput, match="title"):
        await at_work.incidents.open(" \t")
    assert [one["id"] for one in await at_work.incidents.list([State.NEW])] == [opened["id"]]
    assert await at_work.incidents.list([State.CLOSED]) == []
    await at_work.quiet()
    events = [event async for event in at_work.stream.replay("incident.*")]
    assert [event.type for event in events] == ["incident.opened", "incident.updated", "incident.updated"]
    assert {event.correlation_id for event in events} == {story}
    assert events[1].payload["changes"] == {"owner": {"old": None, "new": "ann"}}
    assert events[2].payload["changes"] == {"note": {"old": None, "new": "the tax table is old"}}


async def test_an_incident_carries_the_decisions_behind_it_and_their_proofs(at_work: Running) -> None:
    engine = PolicyEngine(event_stream=at_work.stream)
    rule = Rule(id="no-dumps", name="No dumps", effect="DENY", conditions=[Condition("action", "==", "dump")])
    engine.add_rule(rule)
    for agent, action in (("agent-7", "dump"), ("agent-8", "dump"), ("agent-7", "read")):
        engine.evaluate({"agent_id": agent, "action": action, "resource": "db"})
    with correlation("story-9"):
        engine.evaluate({"agent_id": "agent-9", "action": "dump", "resource": "db"})
        await at_work.escalated("agent-7")
    async with open_plugin(plugins()["audit"], at_work.house) as audit:
        tasks = [asyncio.create_task(work()) for work in audit.tasks]
        incident = await at_work.one("story-9")
        found = await at_work.becomes(
            incident["id"],
            lambda found: len(found["decisions"]) == 3 and all(one["proof"] for one in found["decisions"]),
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    behind = [(one["agent"], one["action"], one["effect"], one["rule_id"]) for one in found["decisions"]]
    assert sorted(behind, key=str) == [
        ("agent-7", "dump", "DENY", "no-dumps"),
        ("agent-7", "read", "DENY", None),
        ("agent-9", "dump", "DENY", "no-dumps"),
    ]
    assert found["agents"] == ["agent-7", "agent-9"]
    for one in found["decisions"]:
        assert one["proof"]["url"] == f"/api/audit/proof/{one['event_id']}"
        assert one["proof"]["index"] < one["proof"]["size"]


async def test_decisions_that_the_stream_gets_after_the_threat_are_added(at_work: Running) -> None:
    recorded = RecordingStream()
    engine = PolicyEngine(event_stream=recorded)
    for agent in ("agent-7", "agent-8"):
        engine.evaluate({"agent_id": agent, "action": "before", "resource": "db"})
    incident = await at_work.one(await at_work.escalated("agent-7"))
    engine.evaluate({"agent_id": "agent-7", "action": "after", "resource": "db"})
    for event in recorded.events:
        at_work.stream.publish(event)
    found = await at_work.becomes(incident["id"], lambda found: bool(found["decisions"]))
    await at_work.quiet()
    found = await at_work.incidents.get(incident["id"])
    assert [(one["agent"], one["action"]) for one in found["decisions"]] == [("agent-7", "before")]


async def test_a_flood_of_one_story_stays_one_small_incident(on_sqlite: Running) -> None:
    for n in range(1050):
        module = f"agent-{n % 600}"
        await on_sqlite.immune.publish_event(
            HealthEvent("CRITICAL", "ERROR_SPIKE", module, f"{n} errors", correlation_id="flood")
        )
    incident = await on_sqlite.one("flood")

    async def counted() -> bool:
        found = await on_sqlite.incidents.get(incident["id"])
        return sum(entry["count"] for entry in found["timeline"]) >= 1050

    await until(counted)
    found = await on_sqlite.incidents.get(incident["id"])
    assert len(found["timeline"]) <= 502
    assert len(found["events"]) == 1000


async def test_texts_of_any_length_and_kind_fit(at_work: Running) -> None:
    for story in ("\N{BACTRIAN CAMEL}" * 5000, "a\0b"):
        with correlation(story):
            await at_work.immune.publish_event(
                HealthEvent("CRITICAL", "ERROR_SPIKE", "m" * 200, "\0\N{BACTRIAN CAMEL}" * 4000)
            )
            await at_work.threats.create_threat("t" * 100, "\N{BACTRIAN CAMEL}" * 500, "HIGH", "\0" * 9000)

    async def both() -> bool:
        return len(await at_work.incidents.list()) == 2

    await until(both)
    await at_work.quiet()
    assert await at_work.stream.dead_letters("brain.incidents") == []
    found = [await at_work.incidents.get(one["id"]) for one in await at_work.incidents.list()]
    assert [len(one["threats"]) for one in found] == [1, 1]
    assert {len(one["correlation_id"]) for one in found} == {3, 500}


async def test_an_event_that_breaks_its_declaration_is_a_dead_letter_and_holds_up_nothing(on_sqlite: Running) -> None:
    on_sqlite.stream.publish(Event(type="threat.escalated", source="threats_service", payload={"threat_id": 7}))
    await on_sqlite.one(await on_sqlite.escalated())

    async def letters() -> list[str]:
        return [letter.error for letter in await on_sqlite.stream.dead_letters("brain.incidents")]

    async def found() -> bool:
        return await letters() != []

    await until(found)
    (error,) = await letters()
    assert "threat_id" in error


def test_the_command_line_works_on_the_same_incidents(brain: Command) -> None:
    opened = brain("incidents", "open", "wrong invoices", "--severity", "high", "--json").json
    assert (opened["number"], opened["severity"], opened["state"]) == (1, "HIGH", "NEW")
    assert brain("incidents", "state", "1", "in_progress", "--note", "on it", "--by", "ann").code == 0
    assert brain("incidents", "owner", opened["id"], "ann").code == 0
    assert brain("incidents", "note", "1", "the tax table is old", "--by", "ann").code == 0
    refused = brain("incidents", "state", "1", "closed")
    assert refused.code == 2
    assert "allowed: ON_HOLD, RESOLVED" in refused.err
    shown = brain("incidents", "show", "1").out
    assert "NEW -> IN_PROGRESS: on it (ann)" in shown
    assert "the tax table is old (ann)" in shown
    assert [one["id"] for one in brain("incidents", "list", "--json").json] == [opened["id"]]
    assert opened["id"] in brain("incidents", "list").out


def test_faulty_settings_are_all_listed_with_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "brain.toml").write_text(
        """
[incidents]
reopen_window = -1
pol_seconds = 3

[incidents.jira]
url = "example.atlassian.net"
user = "brain@example.com"
token = {file = "token", env = "TOKEN"}
project = "ops"

[incidents.servicenow]
url = "https://example.service-now.com?x=1"
user = "brain"
"""
    )
    with pytest.raises(InvalidInput) as refused:
        load_settings()
    text = "\n".join(refused.value.faults)
    for path in (
        "incidents.reopen_window",
        "incidents.pol_seconds",
        "incidents.jira.url",
        "incidents.jira.token",
        "incidents.jira.project",
        "incidents.servicenow",
    ):
        assert path in text
