"""What a program does with a plain install: it guards, decides, asks a person, publishes, follows, reports.

Prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any


async def guarded(stream: Any) -> list[str]:
    """A denial by a pattern, an async denial, and a call that a person lets through."""
    from brain.policy import ActionDenied, Condition, Guard, PolicyEngine, Rule
    from brain.store import open_store

    engine = PolicyEngine(stream, store=open_store("sqlite:///brain.db"), default_effect="ALLOW")
    pattern = Condition(field="params.path", operator="matches", value="/etc/.*")
    engine.add_rule(Rule(id="etc", name="No system files", effect="DENY", conditions=[pattern]))
    paying = Condition(field="action", operator="==", value="pay")
    asking = {"requires_approval": True}
    engine.add_rule(Rule(id="pay", name="Ask", effect="WARN", conditions=[paying], metadata=asking))
    guard = Guard(engine, agent="a1", approval_timeout=20)

    @guard("read")
    def read(path: str) -> str:
        return path

    @guard("read")
    async def read_async(path: str) -> str:
        return path

    @guard("pay")
    async def pay(amount: int) -> int:
        return amount

    seen = [read("/tmp/x"), await read_async("/tmp/y")]
    for attempt in (lambda: asyncio.to_thread(read, "/etc/passwd"), lambda: read_async("/etc/passwd")):
        try:
            seen.append(await attempt())
        except ActionDenied as denied:
            seen.append(f"denied by {denied.decision.rule_id}")
    paid = asyncio.create_task(pay(12))
    async for asked in stream.subscribe("policy.approval_requested"):
        engine.approvals.grant(asked.payload["approval_id"], by="ann")
        break
    return [*seen, str(await paid)]


async def reported(stream: Any) -> list[str]:
    """A threat that is made and escalated, and the health of the fleet after a critical event."""
    from brain import HealthEvent, ImmuneService, threats
    from brain.immune import HealthKind, HealthSeverity

    threats.set_event_stream(stream)
    threat = await threats.create_threat(type="intrusion", source="10.0.0.1", severity="HIGH")
    await threats.update_threat_status(threat.id, "ESCALATED")
    immune = ImmuneService(event_stream=stream)
    health = HealthEvent(HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE, "a1", "gone")
    number = await immune.publish_event(health)
    return [(await threats.get_threat(threat.id)).status, str(number), immune.health_summary().status]


async def main() -> dict[str, Any]:
    """Everything on one stream, in an SQLite file, and what is on it then."""
    from brain import EventStream, catalogue

    async with EventStream.open("sqlite:///brain.db") as stream:
        did = [*await guarded(stream), *await reported(stream)]
        async for event in stream.subscribe("immune.*", group="ops"):
            if event.type == "immune.critical_event":
                break
        types = [event.type async for event in stream.replay("*")]
    critical = sorted(name for name, declared in catalogue().items() if declared.priority.name == "CRITICAL")
    return {"did": did, "types": sorted(set(types)), "critical": critical, "catalogue": len(catalogue())}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
