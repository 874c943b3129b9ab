"""How the demo's agents are restarted: a playbook whose one step is called in the server's process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.playbooks.models import Playbook, Step, Verify


def restart(event: Mapping[str, Any], key: str) -> str:
    """What a supervisor would do; the fleet sees in the run that it is done."""
    return f"{event['payload']['module']} was restarted"


PLAYBOOKS: tuple[Playbook, ...] = (
    Playbook(
        name="restart-agent",
        description="Restart an agent of the demo that does not answer, and see whether it does then.",
        trigger=["immune.critical_event"],
        where={"payload.kind": "AGENT_FAILURE"},
        subject="payload.module",
        steps=[Step(kind="restart", options={"callback": f"{restart.__module__}:{restart.__name__}"}, idempotent=True)],
        cooldown=0.0,
        per_hour=3600,
        verify=Verify(
            event="immune.event_published",
            where={"payload.module": "${payload.module}", "payload.severity": "INFO", "payload.kind": "AGENT_FAILURE"},
            within=30.0,
        ),
    ),
)
