"""The events of playbooks: each run from its start to its end, each step with outcome and duration."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

_Run = Annotated[str, Meta(description="The run's id, `run_<16 hex digits>`.")]
_Playbook = Annotated[str, Meta(description="The playbook's name.")]
_Subject = Annotated[str, Meta(description="Whom the run is about: an agent, a module; empty when nobody.")]
_Seconds = Annotated[float, Meta(ge=0, description="How long it took, in seconds.")]
_Reason = Annotated[str, Meta(description="Why, in words.")]


class AboutRun(TypedDict):
    """The fields that every event of a run has."""

    run_id: _Run
    playbook: _Playbook
    subject: _Subject


class RunStarted(AboutRun):
    """An event started a playbook."""

    trigger_id: Annotated[str, Meta(description="The id of the event that started it.")]
    trigger_type: Annotated[str, Meta(description="Its type.")]
    depth: Annotated[int, Meta(ge=1, description="1, and 1 more for each playbook whose events led here.")]
    steps: Annotated[int, Meta(ge=0, description="How many steps it has.")]
    dry_run: Annotated[bool, Meta(description="Whether nothing is done.")]


class StepPayload(AboutRun):
    """A step of a run."""

    step: Annotated[int, Meta(ge=1, description="Its number, from 1.")]
    kind: Annotated[str, Meta(description="Its kind, such as contain or restart.")]


class StepStarted(StepPayload):
    """A step's effect may happen from now on."""

    attempt: Annotated[int, Meta(ge=1, description="Counts its starts: above 1 after a crash.")]
    rule_id: Annotated[str | None, Meta(description="The rule that let it through; null when none decided.")]


class StepEnded(StepPayload):
    """A step has ended."""

    outcome: Annotated[str, Meta(description="DONE, FAILED, DENIED, UNCERTAIN or DRY_RUN.")]
    detail: Annotated[str, Meta(description="What was done, or why not.")]
    seconds: _Seconds


class ApprovalAsked(AboutRun):
    """A person is asked."""

    step: Annotated[int, Meta(ge=1, description="The step that waits.")]
    question: Annotated[str, Meta(description="What is asked.")]


class RunEnded(AboutRun):
    """A run is over."""

    state: Annotated[str, Meta(description="SUCCEEDED or FAILED.")]
    verified: Annotated[bool | None, Meta(description="Whether it helped; null when it does not look.")]
    reason: _Reason
    seconds: _Seconds


class RunEscalated(AboutRun):
    """A run needs a person: it failed, or what it did is not known to have helped."""

    reason: _Reason


class PlaybookStopped(TypedDict):
    """An event fits a playbook and starts nothing: a budget is used up, or it is too soon."""

    playbook: _Playbook
    subject: _Subject
    reason: Annotated[
        str, Meta(description="cooldown, playbook_budget, correlation_budget, total_budget, depth or no_subject.")
    ]
    limit: Annotated[float, Meta(description="The limit that was reached: runs, depth, or seconds of cool-down.")]
    trigger_id: Annotated[str, Meta(description="The id of the event.")]


_RUN: AboutRun = {"run_id": "run_5f2c9b1e40a7d316", "playbook": "restart-billing", "subject": "billing-1"}


def _declare(name: str, payload: Any, priority: Priority, purpose: str, example: Any) -> EventType[Any]:
    return EventType(
        name=f"playbook.{name}",
        module="playbooks",
        payload=payload,
        priority=priority,
        frequency=Frequency.LOW,
        purpose=purpose,
        example=example,
    )


STARTED = _declare(
    "started",
    RunStarted,
    Priority.HIGH,
    "An event started a playbook.",
    {
        **_RUN,
        "trigger_id": "evt_immune_1703001234567_9f3ac81b2d40a1c7",
        "trigger_type": "immune.critical_event",
        "depth": 1,
        "steps": 2,
        "dry_run": False,
    },
)
STEP_STARTED = _declare(
    "step_started",
    StepStarted,
    Priority.MEDIUM,
    "The rules let a step through, and its effect may happen from now on.",
    {**_RUN, "step": 1, "kind": "restart", "attempt": 1, "rule_id": "playbooks-restart"},
)
STEP_ENDED = _declare(
    "step_ended",
    StepEnded,
    Priority.HIGH,
    "A step of a playbook has ended, with its outcome and duration.",
    {**_RUN, "step": 1, "kind": "restart", "outcome": "DONE", "detail": "exit code 0", "seconds": 0.8},
)
APPROVAL_REQUESTED = _declare(
    "approval_requested",
    ApprovalAsked,
    Priority.CRITICAL,
    "A playbook waits for a person's answer: brain playbooks answer.",
    {**_RUN, "step": 2, "question": "Restart billing-1 at noon?"},
)
ENDED = _declare(
    "ended",
    RunEnded,
    Priority.HIGH,
    "A run of a playbook is over.",
    {
        **_RUN,
        "state": "SUCCEEDED",
        "verified": True,
        "reason": "it helped: immune.event_published came",
        "seconds": 4.2,
    },
)
ESCALATED = _declare(
    "escalated",
    RunEscalated,
    Priority.CRITICAL,
    "A run of a playbook failed, or did not help, and a person must look.",
    {**_RUN, "reason": "no immune.event_published within 60 s"},
)
STOPPED = _declare(
    "stopped",
    PlaybookStopped,
    Priority.HIGH,
    "An event would have started a playbook, and a budget or the cool-down stopped it; said once for each of them.",
    {
        "playbook": "restart-billing",
        "subject": "billing-1",
        "reason": "playbook_budget",
        "limit": 10.0,
        "trigger_id": "evt_immune_1703001234567_9f3ac81b2d40a1c7",
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    STARTED,
    STEP_STARTED,
    STEP_ENDED,
    APPROVAL_REQUESTED,
    ENDED,
    ESCALATED,
    STOPPED,
)
