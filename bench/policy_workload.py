"""The rules and contexts that every policy engine is given, and the right answers, worked out naively.

What all of them can express: a rule allows or denies a role an action, perhaps only above an amount, perhaps only on
resources whose name begins in a certain way. A matching denial outweighs any permission; without a match it is no.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import Any

CONTEXTS = 2_000
_KINDS = [f"t{number}" for number in range(10)]


@dataclass(frozen=True, slots=True)
class BenchRule:
    """One rule. `above` and `kind` are None when the rule does not ask for them."""

    id: str
    allow: bool
    role: str
    action: str
    above: int | None
    kind: str | None

    @property
    def prefix(self) -> str:
        """How the resource's name has to begin."""
        return f"db/{self.kind}/"


@dataclass(frozen=True, slots=True)
class Workload:
    """Rules, contexts, and what is right for each context."""

    rules: list[BenchRule]
    contexts: list[dict[str, Any]]
    expected: list[bool]


def workload(count: int) -> Workload:
    """The same for the same `count`: equality on role and action, a third with `>`, a tenth with a pattern.

    There are about two rules to each pair of role and action, whatever the count, and a fifth of the contexts have a
    role without any rule.
    """
    random = Random(count)
    side = max(1, round(sqrt(count / 2)))
    roles = [f"role-{number}" for number in range(side)]
    actions = [f"resource.action-{number}" for number in range(side)]
    rules = [
        BenchRule(
            id=f"rule-{number}",
            allow=random.random() < 0.7,
            role=random.choice(roles),
            action=random.choice(actions),
            above=random.randrange(1000) if number % 3 == 0 else None,
            kind=random.choice(_KINDS) if number % 10 == 0 else None,
        )
        for number in range(count)
    ]
    contexts = [
        {
            "agent_id": f"agent-{number}",
            "agent_role": random.choice(roles) if random.random() < 0.8 else f"stranger-{number % 50}",
            "action": random.choice(actions),
            "resource": f"db/{random.choice(_KINDS)}/{number}",
            "environment": {},
            "params": {"amount": random.randrange(1000)},
        }
        for number in range(CONTEXTS)
    ]
    # As they would come from outside: no text in them is the very object that is in a rule.
    contexts = json.loads(json.dumps(contexts))
    return Workload(rules, contexts, _answers(rules, contexts))


def _answers(rules: list[BenchRule], contexts: list[dict[str, Any]]) -> list[bool]:
    by_pair: dict[tuple[str, str], list[BenchRule]] = {}
    for rule in rules:
        by_pair.setdefault((rule.role, rule.action), []).append(rule)
    answers = []
    for context in contexts:
        matching = [
            rule
            for rule in by_pair.get((context["agent_role"], context["action"]), ())
            if (rule.above is None or context["params"]["amount"] > rule.above)
            and (rule.kind is None or context["resource"].startswith(rule.prefix))
        ]
        answers.append(bool(matching) and all(rule.allow for rule in matching))
    return answers
