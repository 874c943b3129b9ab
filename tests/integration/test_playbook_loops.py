"""Injected loops: playbooks that start themselves and each other. Each stops at a limit, with an event that says so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from brain import Event
from brain.playbooks.models import Playbook, Step
from support import looping
from support.playing import playing
from support.waiting import until

NOTHING = [Step(kind="call", options={"callback": "support.looping:nothing"})]
PUBLISH = [Step(kind="call", options={"callback": "support.looping:publish"})]
STRANGER = [Step(kind="call", options={"callback": "support.looping:publish_as_a_stranger"})]
DENIED = [
    Step(kind="contain", options={"agent": "rogue", "seconds": 60}),
    Step(kind="call", options={"callback": "support.looping:be_denied"}),
]
PUT_RULE = [Step(kind="shadow_rule", options={"rule": {"id": "looping", "name": "Looping ${id}", "effect": "DENY"}})]
FAIL = [Step(kind="restart", options={"command": ["false"]})]
PER_PLAYBOOK, PER_CORRELATION, DEPTH = 6, 9, 3


def loop(name: str, trigger: str, steps: list[Step], **where: object) -> Playbook:
    """A playbook without a cool-down that begins with an event of the test, and with what itself or another causes."""
    return Playbook(name=name, trigger=[trigger], where=where, steps=steps, cooldown=0.0, per_hour=PER_PLAYBOOK)


def pair(trigger: str, steps: list[Step], **where: object) -> list[Playbook]:
    first = Playbook(name="a", trigger=["test.began"], steps=steps, cooldown=0.0, per_hour=PER_PLAYBOOK)
    return [first, loop("b", trigger, steps, **where)]


LOOPS: dict[str, list[Playbook]] = {
    "itself by its end": pair("playbook.ended", NOTHING),
    "itself by its start": pair("playbook.started", NOTHING),
    "itself by a step": pair("playbook.step_ended", NOTHING),
    "itself by anything of playbooks": pair("playbook.*", NOTHING),
    "itself by its failure": pair("playbook.escalated", FAIL),
    "itself by what it publishes": pair("test.published", PUBLISH),
    "itself by what a stranger publishes for it": pair("test.published", STRANGER),
    "itself by the rule that it puts": pair("policy.rule_*", PUT_RULE),
    "a containment that causes denials": pair("policy.action_denied", DENIED),
    "two that start each other": [
        *pair("playbook.ended", NOTHING, **{"payload.playbook": {"in": ["a", "c"]}}),
        loop("c", "playbook.ended", NOTHING, **{"payload.playbook": "b"}),
    ],
}
"""Each begins with an event `test.began`, and would never end without limits."""


@pytest.mark.parametrize("name", LOOPS)
async def test_a_loop_stops_at_a_limit_and_says_so(tmp_path: Path, monkeypatch: Any, name: str) -> None:
    monkeypatch.setattr(looping, "PLAYBOOKS", LOOPS[name])
    source = "support.looping:PLAYBOOKS"
    limits = {"depth": DEPTH, "per_correlation": PER_CORRELATION, "per_hour": 20}
    async with playing(tmp_path, files=(source,), shipped=False, **limits) as here:
        with looping.on(here):
            here.stream.publish(Event(type="test.began", source="test_service", payload={}))
            (stopped, *_) = await here.of("playbook.stopped")

            async def at_rest() -> bool:
                runs = Counter(one.type for one in await here.events())
                return 0 < runs["playbook.started"] == runs["playbook.ended"] and not here.stream.stats()["backlog"]

            await until(at_rest)
            runs = Counter(one.payload["playbook"] for one in await here.events("playbook.started"))
            assert runs.total() <= 20
            assert max(runs.values()) <= PER_PLAYBOOK
            assert stopped.payload["reason"] in ("depth", "correlation_budget", "playbook_budget", "total_budget")
            said = Counter(
                (one.payload["playbook"], one.payload["reason"]) for one in await here.events("playbook.stopped")
            )
            assert max(said.values()) == 1  # counted, and said once
