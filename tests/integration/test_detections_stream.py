"""Detections on a real stream: events become hits, hits become threats, each once, under the events' correlation id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from brain import Event, EventStream
from brain.detections.http import read_hits
from brain.detections.loading import load
from brain.detections.tasks import DetectionTasks
from brain.kit.context import plugin_context
from brain.plugins import PluginContext
from brain.settings import load_settings
from brain.store import Store, open_store
from brain.threats.models import Threat
from brain.threats.service import ThreatService
from support.waiting import until

RULES = """
title: Refused delete
name: refused_delete
logsource: {product: brain, category: policy.action_denied}
detection:
  delete: {action|endswith: '.delete'}
  condition: delete
level: high
tags: [attack.t1485, owasp.asi02]
"""


def denial(action: str, agent: str = "agent-7", at: float = 1_700_000_000.0) -> Event:
    payload = {"agent_id": agent, "agent_role": "guest", "action": action, "resource": "db/7", "rule_id": None,
               "rule_name": None, "reason": "no rule matched"}  # fmt: skip
    meta = {"correlation_id": f"story-{agent}", "version": "1.0"}
    return Event(type="policy.action_denied", source="policy_service", payload=payload, timestamp=at, meta=meta)


@asynccontextmanager
async def detecting(folder: Path, rules: str) -> AsyncIterator[tuple[PluginContext, Store]]:
    (folder / "own.yaml").write_text(rules)
    url = f"sqlite:///{folder}/brain.db"
    settings = load_settings(stream=url, database=f"sqlite:///{folder}/consumers.db")
    async with EventStream.open(url, journal=folder / "journal") as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, settings) as context:
            loaded = load([folder / "own.yaml"], with_shipped=False)
            assert loaded.problems == []
            tasks = DetectionTasks(context, loaded)
            await tasks.prepare()
            loops = [asyncio.create_task(loop()) for loop in tasks.loops]
            try:
                yield context, store
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.wait(loops)
                assert tasks.check() == "ok"
                assert {one.name for one in tasks.metrics()} >= {"brain_detections_hits", "brain_detections_groups"}


async def threats_when(store: Store, **wanted: Any) -> list[Threat]:
    """The threats, once their evidence by source is this."""
    found: list[Threat] = []

    async def there() -> bool:
        found[:] = await ThreatService(None, store).list_threats()
        return {one.source: one.metadata["evidence"]["reports"] for one in found} == wanted["evidence"]

    await until(there)
    return found


async def test_a_rule_makes_one_threat_with_a_count_of_what_an_agent_does(tmp_path: Path) -> None:
    async with detecting(tmp_path, RULES) as (context, store):
        for number in range(7):
            context.stream.publish(denial("table.delete", at=1_700_000_000.0 + number))
        context.stream.publish(denial("table.read"))
        await context.stream.publish(denial("file.delete", agent="agent-8"))
        found = await threats_when(store, evidence={"agent-7": 7, "agent-8": 1})
        seven = next(one for one in found if one.source == "agent-7")
        assert (seven.type, seven.severity, seven.correlation_id) == ("refused_delete", "HIGH", "story-agent-7")
        assert seven.metadata["tags"] == ["attack.t1485", "owasp.asi02"]
        assert (seven.metadata["first_seen"], seven.last_seen) == (1_700_000_000.0, 1_700_000_006.0)
        hits = await asyncio.to_thread(read_hits, context.database, 10)
        assert {(one.source, one.count, one.threat) for one in hits} == {
            (one.source, one.metadata["evidence"]["reports"], one.id) for one in found
        }

        async def announced() -> bool:
            opened = [event async for event in context.stream.replay("detections.hit_opened")]
            return [(one.payload["source"], one.correlation_id) for one in opened] == [
                ("agent-7", "story-agent-7"), ("agent-8", "story-agent-8")]  # fmt: skip

        await until(announced)


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    rules = RULES.replace("level: high", "level: low") + (
        "---\ntitle: Three deletes\nname: three_deletes\nlevel: high\ncorrelation: {type: event_count, rules: "
        "[refused_delete], group-by: [agent_id], timespan: 1m, condition: {gte: 3}}\n"
    )
    async with detecting(tmp_path, rules) as (context, store):
        context.stream.publish(denial("a.delete", at=1_700_000_000.0))
        await context.stream.publish(denial("b.delete", at=1_700_000_001.0))
    async with detecting(tmp_path, rules) as (context, store):
        await context.stream.publish(denial("c.delete", at=1_700_000_002.0))
        [threat] = await threats_when(store, evidence={"agent-7": 3})
        assert threat.type == "three_deletes"
