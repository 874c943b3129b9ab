"""Random rules and contexts for the policy module's property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from brain.policy import Condition, Effect, Rule

WORDS = ["", "a", "b", "ab", "guest", "admin", "delete", "read", "db/x", "1", "ÄÖ", "a\nb"]
FIELDS = [
    "agent_id",
    "agent_role",
    "agent.role",
    "agent.team.name",
    "action",
    "resource",
    "params",
    "params.amount",
    "params.deep.er.still",
    "environment.zone",
    "tenant",
]
PATTERNS = ["a", "a.*", "ab$", "(a|b)+$", "[a-z]+", "db/.*", "^guest$", r"db\/x", "", ".*e$", "(?i)A", "Ä"]

scalars = st.one_of(
    st.sampled_from(WORDS),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, -1.5, 0.5, 2.0]),
    st.booleans(),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "amount"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    field = draw(st.sampled_from(FIELDS))
    operator = draw(st.sampled_from(["==", "==", "==", "!=", ">", "<", "contains", "matches", "in", "in"]))
    by_operator: dict[str, st.SearchStrategy[Any]] = {
        ">": st.one_of(st.integers(-2, 2), st.sampled_from(WORDS), st.just(0.5)),
        "matches": st.sampled_from(PATTERNS),
        "in": st.lists(values, max_size=4),
    }
    by_operator["<"] = by_operator[">"]
    return Condition(field, operator, draw(by_operator.get(operator, values)))


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    made = draw(
        st.lists(
            st.tuples(
                st.lists(conditions(), max_size=3), st.sampled_from(list(Effect)), st.integers(-1, 1), st.booleans()
            ),
            max_size=8,
        )
    )
    return [
        Rule(id=f"r{n}", name=f"rule {n}", effect=effect, conditions=held, priority=priority, enabled=on or n % 3 > 0)
        for n, (held, effect, priority, on) in enumerate(made)
    ]


@st.composite
def contexts(draw: st.DrawFn) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for field in ("agent_id", "agent_role", "action", "resource", "tenant", "params", "environment"):
        if draw(st.booleans()):
            context[field] = draw(values)
    if draw(st.booleans()):
        context["params"] = {"amount": draw(values), "deep": {"er": {"still": draw(scalars)}}}
    if draw(st.integers(0, 3)) == 0:
        context["environment"] = {"zone": draw(values)}
    if draw(st.integers(0, 3)) == 0:
        context["agent_team"] = {"name": draw(scalars)}
    return context
