"""`brain doctor --reconcile`: what a store holds that no event tells of, and what events tell that it does not hold."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from brain import EventStream, HealthEvent, ImmuneService, PolicyEngine, ThreatService
from brain.policy import Rule
from brain.store import open_store
from support.command import Command


def rule(rule_id: str) -> Rule:
    return Rule(id=rule_id, name=rule_id, effect="DENY", conditions=[])


async def run_once(url: str, stream: EventStream | None, letter: str) -> None:
    """Change something of each kind, announced only with a stream."""
    health = HealthEvent("WARNING", "ERROR_SPIKE", letter, "many errors")  # type: ignore[arg-type]
    with closing(open_store(url)) as store:
        engine = PolicyEngine(stream, store=store, follow_interval=None)
        engine.add_rule(rule(letter))
        engine.contain(letter, ttl=60, reason="leaked")
        threats = ThreatService(stream, store)
        threat = await threats.create_threat("t", letter)
        await threats.update_threat_status(threat.id, "ESCALATED")
        await ImmuneService(stream, store).publish_event(health)


def reconciled(folder: Path, exit_code: int) -> dict[str, Any]:
    ended = Command(folder)("doctor", "--reconcile", "--json")
    assert ended.code == exit_code, ended.err
    return {one["part"]: one for one in ended.json}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/brain.db"


async def test_what_is_announced_does_not_differ(url: str, tmp_path: Path) -> None:
    async with EventStream.open(url) as stream:
        await run_once(url, stream, "a")
    found = reconciled(tmp_path, 0)
    assert found["announcements"]["finding"] == "every stored change is announced on the stream"
    for kind, count in (("rules", 2), ("threats", 1), ("health events", 1)):
        assert found[f"reconcile {kind}"]["finding"] == f"{count} compared, none differs from its events"


async def test_what_differs_is_named(url: str, tmp_path: Path) -> None:
    async with EventStream.open(url) as stream:
        await run_once(url, stream, "a")
        await run_once(url, None, "b")
        with closing(open_store(url)) as store:
            PolicyEngine(store=store, follow_interval=None).delete_rule("a")
            store.delete("immune", f"{1:012d}")
            (threat,) = await ThreatService(store=store).list_threats(source="a")
            await ThreatService(store=store).update_threat_status(threat.id, "MITIGATED")
    found = reconciled(tmp_path, 1)
    rules, threats = found["reconcile rules"], found["reconcile threats"]
    assert rules["state"] == threats["state"] == "bad"
    assert "rule b: no event tells of it" in rules["finding"]
    assert "rule a: events tell of it, and the store does not have it" in rules["finding"]
    assert f"threat {threat.id}: it is MITIGATED, and its last event says ESCALATED" in threats["finding"]
    assert "no event tells of it" in threats["finding"]
    assert "health event 2: no event tells of it" in found["reconcile health events"]["finding"]
    assert "compare with a backup" in rules["remedy"]
