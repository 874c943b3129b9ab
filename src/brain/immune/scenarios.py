"""For docs/events: the purpose of this module, and scenarios that show how its events follow each other."""

from __future__ import annotations

from brain.docs_gen import Scenario
from brain.immune import events

OVERVIEW = """\
The immune module keeps the fleet's health events: agents and services that slow down, err, run out of something, fail
or are healed. Their severities are INFO, WARNING and CRITICAL.

Every health event is published; a critical one has an event of its own besides, for those who act on it at once."""

SCENARIOS = (
    Scenario(
        "An agent slows down",
        "Every health event is published, whatever its severity.",
        ((events.EVENT_PUBLISHED, "severity WARNING, kind PERFORMANCE_DEGRADATION"),),
    ),
    Scenario(
        "An agent fails and is healed",
        "A critical event is announced twice: once as a health event like any other, once for those who act on it.",
        (
            (events.EVENT_PUBLISHED, "severity CRITICAL, kind AGENT_FAILURE"),
            (events.CRITICAL_EVENT, "the same event, for pagers, incidents and playbooks"),
            (events.EVENT_PUBLISHED, "severity INFO, kind SELF_HEALING_ACTION: the agent was restarted"),
        ),
    ),
    Scenario(
        "An error spike",
        "A burst of errors is reported as it grows; the last report is critical.",
        (
            (events.EVENT_PUBLISHED, "severity WARNING, kind ERROR_SPIKE"),
            (events.EVENT_PUBLISHED, "severity CRITICAL, kind ERROR_SPIKE"),
            (events.CRITICAL_EVENT, "besides, for the last"),
        ),
    ),
)
