"""What a playbook is: when it starts, what it does, how it knows that it helped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain.playbooks.plugin import PLUGIN

CONSUMER = PLUGIN.name
AGENT_PREFIX = "playbook:"
"""Before a playbook's name: the agent id under which rules decide on its steps."""
ROLE = "playbook"
"""The role under which rules decide on steps."""


class RunState(StrEnum):
    """Where a run stands."""

    RUNNING = "RUNNING"
    WAITING = "WAITING"
    """A person is asked, or a rule's approval is waited for."""
    VERIFYING = "VERIFYING"
    """All steps are done; whether they helped is not known yet."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    """A step failed or was denied, or nothing showed in time that it helped."""


OVER = (RunState.SUCCEEDED, RunState.FAILED)
GOING_ON = (RunState.RUNNING, RunState.WAITING, RunState.VERIFYING)


class StepState(StrEnum):
    """Where a step stands."""

    STARTED = "STARTED"
    """Written before its effect: found after a crash, nobody knows whether the effect happened."""
    DONE = "DONE"
    FAILED = "FAILED"
    DENIED = "DENIED"
    UNCERTAIN = "UNCERTAIN"
    """Found started after a crash, and neither repeated nor known to be done: a person is asked."""
    DRY_RUN = "DRY_RUN"
    """Decided and announced, not done."""


class StopReason(StrEnum):
    """Why an event that fits started nothing."""

    COOLDOWN = "cooldown"
    PLAYBOOK_BUDGET = "playbook_budget"
    CORRELATION_BUDGET = "correlation_budget"
    TOTAL_BUDGET = "total_budget"
    DEPTH = "depth"
    NO_SUBJECT = "no_subject"


Callback = Callable[[Mapping[str, Any], str], Any]
"""A step in Python: it is given the event and the step's key, and returns what it did, in words. Plain or async."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its kind, what the kind needs, and how it is to be treated."""

    kind: str
    options: Mapping[str, Any] = {}
    timeout: float = 30.0
    idempotent: bool | None = None
    """Whether it may be repeated when nobody knows whether it was done; None: as its kind is."""
    done_if: Sequence[str] = ()
    """A command that ends with exit code 0 when the step was done: asked after a crash."""


class Verify(msgspec.Struct, frozen=True, kw_only=True):
    """How a run knows that it helped: an event that comes in time, or one that does not come."""

    event: str
    where: Mapping[str, Any] = {}
    within: float = 60.0
    absent: bool = False
    """Whether it helped when no such event came, not when one came."""


class Playbook(msgspec.Struct, frozen=True, kw_only=True):
    """What is done about an event. Times are in seconds."""

    name: Annotated[str, Meta(description="Its name; rules know it as the agent playbook:NAME.")]
    trigger: Annotated[Sequence[str], Meta(description="The event types that start it.")]
    steps: Sequence[Step]
    where: Mapping[str, Any] = {}
    subject: str = ""
    """The field of the event that says whom it is about: cool-down holds for each of them apart."""
    description: str = ""
    cooldown: float = 60.0
    per_hour: int = 10
    timeout: float = 3600.0
    approval: bool = False
    dry_run: bool = False
    verify: Verify | None = None
    escalate: bool = True
    after: Sequence[str] = ()
    """It starts only where one of these playbooks has run for the same subject, and waits until that run is over."""


def agent_of(playbook: str) -> Mapping[str, str]:
    """Who acts in a step, as rules see it."""
    return {"agent_id": f"{AGENT_PREFIX}{playbook}", "agent_role": ROLE}
