"""The overview and the scenarios of docs/events/POLICY.md: how the events follow each other."""

from __future__ import annotations

from brain.docs_gen import Scenario
from brain.policy import events

OVERVIEW = """\
The policy module answers whether an agent may do something. Rules are compared with the request's context; the
matching rule with the highest priority decides, and on equal priority the most restrictive effect: DENY, AUDIT, WARN,
ALLOW. When no rule matches, the default effect does, which is DENY unless set otherwise.

Every decision and every change of a rule is an event, so the stream alone tells what was decided, by which rule, and
what the rules were at that moment. Decisions never wait for the stream."""

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
            (
                events.ACTION_DENIED,
                "who was refused what, and by which rule; none for the default effect or a guard's refusal",
            ),
        ),
    ),
    Scenario(
        "An action waits for a person",
        "A rule with AUDIT or WARN and `requires_approval` lets the action through only when a person agrees in time.",
        (
            (events.RULE_EVALUATED, "the decision, with effect AUDIT"),
            (events.APPROVAL_REQUESTED, "the guard asks, and waits"),
            (events.APPROVAL_GRANTED, "a person agrees; with `policy.approval_refused` or `_expired` it ends here"),
            (events.RULE_EVALUATED, "the rules are asked again: they may have changed meanwhile"),
            (events.APPROVAL_USED, "the action is let through, once"),
        ),
    ),
    Scenario(
        "An agent is contained",
        "A containment is a rule above all others that ends by itself.",
        (
            (events.RULE_CREATED, "the rule, tagged `containment`, with `expires_at` and the reason as `note`"),
            (events.RULE_EVALUATED, "whatever the agent asks for is denied"),
            (events.ACTION_DENIED, "each time"),
            (events.RULE_DELETED, "its time is over, or a person lifted it: `note` tells which"),
        ),
    ),
)
