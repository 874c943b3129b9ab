"""How the threats module's events follow each other; printed in docs/events/THREATS.md."""

from __future__ import annotations

from brain.catalogue import Scenario
from brain.threats import events

SCENARIOS = (
    Scenario(
        "From detection to resolution",
        "All events of one threat carry the same correlation id, so its story can be shown as one timeline.",
        (
            (events.DETECTED, "the threat is found; its status is OPEN"),
            (events.STATUS_CHANGED, "OPEN to INVESTIGATING: someone looks at it"),
            (events.STATUS_CHANGED, "INVESTIGATING to MITIGATED: it does no more harm"),
            (events.MITIGATED, "with the seconds since detection, which the MTTM is the mean of"),
            (events.STATUS_CHANGED, "MITIGATED to RESOLVED: the end"),
        ),
    ),
    Scenario(
        "Escalation",
        "A threat that gets worse is escalated; this is what on-call people are paged for.",
        (
            (events.DETECTED, "the threat is found"),
            (events.STATUS_CHANGED, "OPEN or INVESTIGATING to ESCALATED"),
            (events.ESCALATED, "besides: a person should act now"),
            (events.STATUS_CHANGED, "ESCALATED to MITIGATED"),
            (events.MITIGATED, "closes what the escalation opened"),
        ),
    ),
    Scenario(
        "A false positive",
        "A threat that was none is ignored; it counts in no MTTM.",
        (
            (events.DETECTED, "the threat is found"),
            (events.STATUS_CHANGED, "OPEN to IGNORED"),
        ),
    ),
)
