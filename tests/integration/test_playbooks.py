"""Playbooks on a real stream, database and engine: from an event to steps that are decided, done once and verified."""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from brain import Condition, Event, Rule, correlation
from brain.charter import Severity
from brain.connectors.webhook import verify
from brain.errors import InvalidInput
from brain.playbooks.loading import read_yaml
from brain.secret import Secret
from brain.threats.service import ThreatService
from support.playing import playing
from support.scripted import Reply, ScriptedServer

RESTART = """
playbooks:
  - name: restart-billing
    trigger: immune.critical_event
    where: {payload.module: billing, payload.kind: [AGENT_FAILURE]}
    subject: payload.module
    steps:
      - restart: {command: [sh, -c, 'echo "$BRAIN_STEP_KEY $0" >> "%s/done"', "${payload.module}"]}
    verify:
      event: immune.event_published
      where: {payload.module: "${payload.module}", payload.severity: INFO}
      within: 30
"""


WEBHOOK = """
playbooks:
  - name: tell-others
    trigger: immune.critical_event
    steps:
      - webhook: {url: "%s/hook", body: {module: "${payload.module}"}, key: {env: HOOK_KEY}}
        idempotent: true
"""


def failure(module: str = "billing", number: int = 1, **meta: object) -> Event:
    payload = {"event_id": number, "severity": "CRITICAL", "kind": "AGENT_FAILURE", "module": module,
               "message": "silent", "details": {}, "critical_at": 1.0}  # fmt: skip
    return Event(type="immune.critical_event", source="immune_service", payload=payload,
                 meta={"correlation_id": f"story-{module}", "version": "1.0", **meta})  # fmt: skip


def recovered(module: str = "billing") -> Event:
    payload = {"event_id": 9, "severity": "INFO", "kind": "SELF_HEALING_ACTION", "module": module,
               "message": "answers", "details": {}, "published_at": 1.0}  # fmt: skip
    return Event(type="immune.event_published", source="immune_service", payload=payload)


async def test_a_failure_is_healed_by_a_command_and_verified_under_its_own_story(tmp_path: Path) -> None:
    async with playing(tmp_path, RESTART % tmp_path) as here:
        here.stream.publish(failure("search"))
        here.stream.publish(failure())
        (step,) = await here.of("playbook.step_ended")
        here.stream.publish(recovered("search"))
        here.stream.publish(recovered())
        (ended,) = await here.of("playbook.ended")
        assert (ended.payload["state"], ended.payload["verified"]) == ("SUCCEEDED", True)
        assert step.payload["outcome"] == "DONE"
        assert step.payload["seconds"] > 0
        run = ended.payload["run_id"]
        assert (tmp_path / "done").read_text() == f"{run}-1 billing\n"
        told = await here.events()
        assert [one.type for one in told] == [
            f"playbook.{name}" for name in ("started", "step_started", "step_ended", "ended")
        ]
        assert {one.correlation_id for one in told} == {"story-billing"}


async def test_a_webhook_is_signed_and_tried_again_under_the_same_key(tmp_path: Path, monkeypatch: Any) -> None:
    key = "a key of more than 24 letters"
    monkeypatch.setenv("HOOK_KEY", key)
    async with ScriptedServer() as receiver:
        receiver.replies = [Reply(503), Reply(200, "{}")]
        async with playing(tmp_path, WEBHOOK % receiver.url, shipped=False) as here:
            here.stream.publish(failure())
            (ended,) = await here.of("playbook.ended")
            assert ended.payload["state"] == "SUCCEEDED"
            assert key not in str(await here.events("*"))
    tried = []
    for request in receiver.requests:
        head, _, body = request.partition("\r\n\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
        exact = dict(line.split(": ", 1) for line in head.splitlines()[1:])
        signature = next(value for name, value in exact.items() if name.lower() == "webhook-signature")
        id = verify([Secret(key)], {**headers, "webhook-signature": signature}, body.encode(), time.time())
        tried.append((id, headers["idempotency-key"], body))
    assert tried == [(tried[0][0], f"{ended.payload['run_id']}-1", '{"module":"billing"}')] * 2
    with pytest.raises(InvalidInput, match="key needs"):
        read_yaml(WEBHOOK.replace("{env: HOOK_KEY}", key) % "http://x", "a test")


async def test_an_escalated_threat_contains_its_agent_until_it_is_mitigated(tmp_path: Path) -> None:
    async with playing(tmp_path) as here:
        threats = ThreatService(here.stream, here.context.store)
        here.engine.add_rule(Rule(id="all", name="All", effect="ALLOW"))
        here.engine.evaluate({"agent_id": "rogue", "action": "read"})
        with correlation("story-rogue"):
            threat = await threats.create_threat("policy_denials", "rogue", Severity.HIGH, "5 denials")
            await threats.update_threat_status(threat.id, "ESCALATED")
        await here.of("playbook.ended", playbook="contain-threat")
        here.engine.refresh()
        assert not here.engine.evaluate({"agent_id": "rogue", "action": "read"}).allowed
        assert here.engine.evaluate({"agent_id": "other", "action": "read"}).allowed
        await threats.update_threat_status(threat.id, "MITIGATED")
        await here.of("playbook.ended", playbook="release-agent")
        here.engine.refresh()
        assert here.engine.evaluate({"agent_id": "rogue", "action": "read"}).allowed
        told = [one for one in await here.events("*") if one.type != "policy.rule_evaluated"]
        story = [one.type for one in told if one.correlation_id == "story-rogue"]
        assert {
            "threat.detected",
            "threat.escalated",
            "policy.rule_created",
            "policy.rule_deleted",
            "playbook.ended",
        } <= {*story}


async def test_a_threat_that_is_over_is_released_once(tmp_path: Path) -> None:
    async with playing(tmp_path) as here:
        threats = ThreatService(here.stream, here.context.store)
        here.engine.evaluate({"agent_id": "rogue", "action": "read"})
        threat = await threats.create_threat("policy_denials", "rogue", Severity.CRITICAL, "100 denials")
        for status in ("MITIGATED", "RESOLVED"):
            await threats.update_threat_status(threat.id, status)
        await here.of("playbook.ended", playbook="release-agent")
        other = await threats.create_threat("policy_denials", "other", Severity.CRITICAL, "100 denials")
        await threats.update_threat_status(other.id, "IGNORED")
        released = await here.of("playbook.ended", 2, playbook="release-agent")
        assert [one.payload["subject"] for one in released] == ["rogue", "other"]


async def test_a_containment_says_when_nobody_of_that_name_has_acted(tmp_path: Path) -> None:
    async with playing(tmp_path) as here:
        threats = ThreatService(here.stream, here.context.store)
        here.engine.evaluate({"agent_id": "rogue", "action": "db.read, table/3"})
        await threats.create_threat("agents_refused_alike", "db.read, table/3", Severity.CRITICAL, "ten agents")
        (done,) = await here.of("playbook.step_ended", kind="contain")
        assert (done.payload["outcome"], done.payload["detail"]) == (
            "DONE",
            "db.read, table/3 is contained for 900 s, but no recorded event says what an agent of this name did",
        )
        here.engine.refresh()
        (held,) = here.engine.containments()
        assert held.conditions[0].value == "db.read, table/3"


async def test_what_a_person_contained_stays_contained(tmp_path: Path) -> None:
    async with playing(tmp_path) as here:
        threats = ThreatService(here.stream, here.context.store)
        here.engine.evaluate({"agent_id": "rogue", "action": "read"})
        here.engine.contain("rogue", ttl=60, reason="by hand", by="ann")
        threat = await threats.create_threat("policy_denials", "rogue", Severity.CRITICAL, "100 denials")
        await threats.update_threat_status(threat.id, "MITIGATED")
        (done,) = await here.of("playbook.step_ended", kind="lift")
        assert done.payload["detail"] == "rogue is contained by ann, which stays"
        assert [rule.metadata["by"] for rule in here.engine.containments()] == ["ann"]


ASKING = """
playbooks:
  - {name: asks, trigger: test.one, steps: [{ask: "May I?"}, {call: {callback: "support.looping:nothing"}}]}
  - {name: denied, trigger: test.one, steps: [{call: {callback: "support.looping:hang"}}]}
  - {name: tried, trigger: test.one, dry_run: true, steps: [{call: {callback: "support.looping:hang"}}]}
  - {name: slow, trigger: test.one, steps: [{call: {callback: "support.looping:hang"}, timeout: 0.1}]}
  - {name: cut-off, trigger: test.two, steps: [{call: {callback: "support.looping:hang"}}]}
"""


async def test_people_rules_and_time_stop_steps_and_a_step_that_was_cut_off_is_asked_about(tmp_path: Path) -> None:
    async with playing(tmp_path, ASKING, shipped=False, lease_seconds=0.5) as here:
        here.engine.add_rule(
            Rule(id="no", name="No", effect="DENY", conditions=[Condition("agent_id", "==", "playbook:denied")])
        )
        here.stream.publish(Event(type="test.one", source="test_service", payload={}))
        (asked,) = await here.of("playbook.approval_requested")
        await asyncio.to_thread(here.tasks.records.answer, asked.payload["run_id"], True, "ann")
        here.tasks.wake()
        ended = await here.of("playbook.ended", count=4)
        states = {one.payload["playbook"]: one.payload["state"] for one in ended}
        assert states == {"asks": "SUCCEEDED", "denied": "FAILED", "tried": "SUCCEEDED", "slow": "FAILED"}
        steps = {one.payload["playbook"]: one.payload for one in await here.events("playbook.step_ended")}
        assert (steps["denied"]["outcome"], steps["tried"]["outcome"]) == ("DENIED", "DRY_RUN")
        assert steps["slow"]["detail"] == "StepFailed: took more than 0.1 s"
        assert len(await here.of("playbook.escalated", count=2)) == 2
        here.stream.publish(Event(type="test.two", source="test_service", payload={}))
        await here.of("playbook.step_started", playbook="cut-off")
    async with playing(tmp_path, ASKING, shipped=False, lease_seconds=0.5) as here:
        (asked,) = await here.of("playbook.approval_requested", playbook="cut-off")
        await asyncio.to_thread(here.tasks.records.answer, asked.payload["run_id"], True, "ann")
        here.tasks.wake()
        (over,) = await here.of("playbook.ended", playbook="cut-off")
        assert over.payload["state"] == "SUCCEEDED"
        told = [
            one.payload["outcome"]
            for one in await here.events("playbook.step_ended")
            if one.payload["playbook"] == "cut-off"
        ]
        assert told == ["UNCERTAIN", "DONE"]


NAMED = """
playbooks:
  - {name: careful, trigger: test.one, steps: [{call: {callback: "support.looping:nothing"}}]}
"""


async def test_a_step_waits_for_the_person_whom_a_rule_names_also_in_a_server(tmp_path: Path) -> None:
    import_module("starlette.exceptions")  # where it is loaded, denials are of another class
    async with playing(tmp_path, NAMED, shipped=False) as here:
        careful = [Condition("agent_id", "==", "playbook:careful")]
        needs_a_person = {"requires_approval": True}
        here.engine.add_rule(
            Rule(id="ask", name="Ask", effect="AUDIT", priority=9, conditions=careful, metadata=needs_a_person)
        )
        here.stream.publish(Event(type="test.one", source="test_service", payload={}))
        (asked,) = await here.of("policy.approval_requested")
        await asyncio.to_thread(here.engine.approvals.grant, asked.payload["approval_id"], by="ann")
        (ended,) = await here.of("playbook.ended")
        assert ended.payload["state"] == "SUCCEEDED"
