"""The playbooks that come with this package: threats that became critical or were escalated, and what ends them."""

from __future__ import annotations

from brain.playbooks.models import Playbook, Step

CONTAIN_BY = "playbook:contain-threat"
"""Who makes and lifts the containments of the loop."""
_OVER = ["MITIGATED", "RESOLVED", "IGNORED"]


def shipped(contain_seconds: float) -> tuple[Playbook, ...]:
    """They contain agents for so many seconds. A source that is an address is no agent."""
    agent = {"payload.source": {"is_address": False}}
    return (
        Playbook(
            name="contain-threat",
            description="Contain the agent behind a threat that became critical or was escalated.",
            trigger=["threat.became_critical", "threat.escalated"],
            where=agent,
            subject="payload.source",
            steps=[
                Step(
                    kind="contain",
                    options={
                        "agent": "${payload.source}",
                        "seconds": contain_seconds,
                        "reason": "threat ${payload.threat_id}: ${payload.type}, ${payload.severity}",
                    },
                )
            ],
            cooldown=5.0,
            per_hour=60,
        ),
        Playbook(
            name="contain-critical-threat",
            description="Contain the agent behind a threat that is critical from the start.",
            trigger=["threat.detected"],
            where={**agent, "payload.severity": "CRITICAL"},
            subject="payload.source",
            steps=[
                Step(
                    kind="contain",
                    options={
                        "agent": "${payload.source}",
                        "seconds": contain_seconds,
                        "reason": "threat ${payload.threat_id}: ${payload.type}, ${payload.severity}",
                        "by": CONTAIN_BY,
                    },
                )
            ],
            cooldown=5.0,
            per_hour=60,
        ),
        Playbook(
            name="release-agent",
            description="Lift what contain-threat did once the threat is mitigated, resolved or ignored.",
            trigger=["threat.status_changed"],
            where={**agent, "payload.new_status": _OVER, "payload.old_status": {"not_in": _OVER}},
            subject="payload.source",
            steps=[
                Step(
                    kind="lift",
                    options={
                        "agent": "${payload.source}",
                        "reason": "threat ${payload.threat_id} is ${payload.new_status}",
                        "by": CONTAIN_BY,
                    },
                )
            ],
            after=["contain-threat", "contain-critical-threat"],
            cooldown=0.0,
            per_hour=1000,
        ),
    )
