"""For docs/events: the purpose of this module, and scenarios that show how its events follow each other."""

from __future__ import annotations

from brain.docs_gen import Scenario
from brain.threats import events

OVERVIEW = """\
The threats module keeps who is attacking or misbehaving, and what is done about it. A threat has a severity and moves
through the statuses OPEN, INVESTIGATING, ESCALATED, MITIGATED and RESOLVED, or is IGNORED as a false positive; only the
moves that make sense are possible.

Every threat, every move and all evidence that joins a threat is an event, with the threat's version: the order of its
changes. The seconds from detection to mitigation are in `threat.mitigated`; their mean
is the MTTM (mean time to mitigate)."""

SCENARIOS = (
    Scenario(
        "From detection to resolution",
        "All events of one threat carry the same correlation id, so they can be shown as one timeline.",
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
        "A threat that grows",
        "More evidence joins the threat of its attacker. What grows after its mitigation is open again.",
        (
            (events.DETECTED, "five denials of an agent: MEDIUM"),
            (events.UPDATED, "25 denials: HIGH"),
            (events.UPDATED, "100 denials: CRITICAL"),
            (events.BECAME_CRITICAL, "besides: a person should act now"),
            (events.STATUS_CHANGED, "to MITIGATED: the agent is contained"),
            (events.MITIGATED, "besides"),
            (events.UPDATED, "it is denied five times more"),
            (events.STATUS_CHANGED, "MITIGATED to INVESTIGATING, by evidence"),
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
