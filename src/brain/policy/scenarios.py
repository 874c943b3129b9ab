"""How the policy module's events follow each other; printed in docs/events/POLICY.md."""

from __future__ import annotations

from brain.catalogue import Scenario
from brain.policy import events

SCENARIOS = (
    Scenario(
        "A rule's life",
        "Every change of the rule set is announced with the whole rule, so that a consumer can rebuild the set that "
        "was in force at any moment.",
        (
            (events.RULE_CREATED, "a rule is added; it takes part in decisions at once, unless it was made disabled"),
            (events.RULE_UPDATED, "its priority is raised; `changes` holds the old and the new value"),
            (events.RULE_DISABLED, "it is taken out of decisions during an investigation"),
            (events.RULE_ENABLED, "and put back"),
            (events.RULE_DELETED, "it is removed; the payload holds it as it was"),
        ),
    ),
    Scenario(
        "An action is allowed",
        "One event for every decision, whichever effect decided: ALLOW, WARN and AUDIT let the action go on.",
        ((events.RULE_EVALUATED, "the decision with its context, the rule that decided, and the time it took"),),
    ),
    Scenario(
        "An action is denied",
        "A denial has an event of its own besides, for those who only want to know of refusals.",
        (
            (events.RULE_EVALUATED, "the decision, with effect DENY"),
            (events.ACTION_DENIED, "who was refused what, and by which rule; no rule when the default effect denied"),
        ),
    ),
)
