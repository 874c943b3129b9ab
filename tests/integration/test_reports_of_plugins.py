"""What plug-ins ask of policy, threats and immune without importing them: guards before effects, and reports."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from brain.charter import HealthKind, HealthSeverity, Severity, ThreatStatus
from brain.immune.service import ImmuneService
from brain.kit.context import plugin_context
from brain.kit.protocols import EffectGuard, HealthReport, HealthReports, ThreatReport, ThreatReports
from brain.policy import ActionDenied, ApprovalRequired, PolicyEngine, Rule
from brain.policy.models import Condition
from brain.settings import Settings
from brain.store import open_store
from brain.stream import EventStream
from brain.threats.service import ThreatService
from support.waiting import until


async def denied(guard: EffectGuard, action: str) -> bool:
    try:
        await guard.check({"agent_id": "pilot"}, action)
    except ActionDenied:
        return True
    return False


async def test_an_effect_is_decided_on_and_recorded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, Settings()) as context:
            engine = PolicyEngine(store=store)
            condition = Condition(field="action", operator="==", value="hardware.move")
            engine.add_rule(Rule(id="may-move", name="May move", effect="ALLOW", conditions=[condition]))
            first, second = context.find(EffectGuard), context.find(EffectGuard)
            assert first is not None
            assert second is not None
            decision = await first.check("pilot", "hardware.move", "robot/r1", {"linear_x": 0.2})
            assert decision.rule_id == "may-move"
            with pytest.raises(ActionDenied):
                await second.check("pilot", "hardware.stop")
            engine.contain("pilot", ttl=60, reason="rogue")
            await until(lambda: denied(first, "hardware.move"))
            assert list(await first.contained()) == ["pilot"]
            await first.close()
            with pytest.raises(ActionDenied):  # the other one has the engine still
                await second.check("pilot", "hardware.stop")
            await second.close()
            engine.close()
        assert await asyncio.to_thread(stream.flush)
        denials = [event.payload["action"] async for event in stream.replay("policy.action_denied")]
        assert denials == ["hardware.stop", "hardware.move", "hardware.stop"]


async def test_an_effect_that_needs_a_person_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, Settings()) as context:
            engine = PolicyEngine(store=store)
            rule = {"id": "ask", "name": "Ask", "effect": "AUDIT", "metadata": {"requires_approval": True}}
            condition = Condition(field="action", operator="==", value="dna.apply")
            engine.add_rule(Rule(**rule, conditions=[condition]))
            guard = context.find(EffectGuard)
            assert guard is not None
            with pytest.raises(ApprovalRequired):
                await guard.check("a1", "dna.apply", "agent/a1", {"share": 0.5})
            waiting = engine.approvals.list()
            engine.approvals.grant(waiting[0].id, by="op")
            assert (await guard.check("a1", "dna.apply", "agent/a1", {"share": 0.5})).rule_id == "ask"
            await guard.close()
            engine.close()


async def test_reports_join_and_count_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, Settings()) as context:
            threats, health = context.find(ThreatReports), context.find(HealthReports)
            assert threats is not None
            assert health is not None
            made = {
                await threats.report(ThreatReport("hijack", "r1", Severity.HIGH, "Moved without a lease", reading))
                for reading in ("evt_1", "evt_1", "evt_2")
            }
            assert len(made) == 1
            [threat] = await ThreatService(None, store).list_threats()
            assert (threat.id, threat.status, threat.metadata["evidence"]) == (*made, ThreatStatus.OPEN, {"reports": 2})
            full = HealthReport(HealthSeverity.WARNING, HealthKind.RESOURCE_EXHAUSTION, "disk", "90 % full")
            numbers = [await health.report(full, key="disk-1") for _ in range(2)]
            assert numbers == [1, 1]
            assert [event.module for event in ImmuneService(None, store).get_recent_events()] == ["disk"]
