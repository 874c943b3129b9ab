"""A guard decides as the naive reference does on the values that really arrive in the function.

Signatures with parameters of every kind, values of every kind; plain and async functions and generators.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brain.policy import ActionDenied, Condition, Guard, PolicyEngine, Rule
from support.policy_reference import decide
from support.policy_strategies import odd_values, values

CASES = 5 * settings().max_examples  # 125; in the profile `long`, 25,000

NAMES = ("a", "b", "amount")
KINDS = ("def", "async def", "generator", "async generator")
WANTED = st.sampled_from(["a", "", "guest", 0, 1, 0.5, True, None, [1], {"a": 1}])


@st.composite
def signatures(draw: st.DrawFn) -> tuple[str, list[str], list[str], bool, bool]:
    """The head of a function, its positional-only and other parameters, and whether it takes `*rest` and `**more`."""
    names = list(NAMES[: draw(st.integers(0, 3))])
    only = names[: draw(st.integers(0, len(names)))]
    rest, more = draw(st.booleans()), draw(st.booleans())
    keywords = [name for name in names if name not in only and draw(st.booleans())]
    usual = [name for name in names if name not in only and name not in keywords]
    first_default = draw(st.integers(0, 3))
    parts = [name if number < first_default else f"{name}=1" for number, name in enumerate([*only, *usual])]
    if only:
        parts.insert(len(only), "/")
    parts += ["*rest"] if rest else ["*"] if keywords else []
    parts += [f"{name}=0.5" if draw(st.booleans()) else name for name in keywords]
    parts += ["**more"] if more else []
    return ", ".join(parts), only, [*usual, *keywords], rest, more


def function_of(kind: str, head: str, arrived: list[dict[str, Any]]) -> Callable[..., Any]:
    """A function with this head that puts what arrives in it into `arrived`."""
    word = "async def" if "async" in kind else "def"
    last = "    yield 1" if "generator" in kind else "    return 1"
    made: dict[str, Any] = {"arrived": arrived}
    exec(f"{word} tool({head}):\n    arrived.append(dict(locals()))\n{last}", made)
    return made["tool"]  # type: ignore[no-any-return]


def run(function: Callable[..., Any], kind: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Call the function, and begin what it gives."""
    if kind == "def":
        function(*args, **kwargs)
    elif kind == "generator":
        next(function(*args, **kwargs))
    elif kind == "async def":
        asyncio.run(function(*args, **kwargs))
    else:
        asyncio.run(anext_of(function, args, kwargs))


async def anext_of(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    going = function(*args, **kwargs)
    await anext(going)
    await going.aclose()


def seen(arrived: dict[str, Any]) -> dict[str, Any]:
    """The params: own parameters by name, keywords of `**more` beside them, under `**` where a name is taken."""
    own = {name: value for name, value in arrived.items() if name != "more"}
    more = arrived.get("more", {})
    hidden = {name: value for name, value in more.items() if name in own}
    return {**more, **own, **({"**": hidden} if hidden else {})}


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    made = []
    for number in range(draw(st.integers(1, 4))):
        held = []
        for _ in range(draw(st.integers(0, 2))):
            field = draw(st.sampled_from([*NAMES, "rest", "extra", "**.a", "a.amount", "amount.name"]))
            operator = draw(st.sampled_from(["==", "!=", ">", "<", "contains", "matches", "in"]))
            wanted = draw(WANTED)
            if operator in (">", "<"):
                wanted = draw(st.sampled_from([0, 1, 0.5, "a"]))
            elif operator == "matches":
                wanted = draw(st.sampled_from(["a.*", "[a-z]+$", "db/"]))
            held.append(Condition(f"params.{field}", operator, [wanted, "b"] if operator == "in" else wanted))
        effect = draw(st.sampled_from(["ALLOW", "DENY", "WARN", "AUDIT"]))
        made.append(Rule(id=f"r{number}", name="r", effect=effect, conditions=held, priority=draw(st.integers(0, 2))))
    return made


anything = st.one_of(values, odd_values)


@pytest.mark.timeout(7200)
@settings(max_examples=CASES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_guard_decides_on_what_arrives(data: st.DataObject) -> None:
    head, only, named, rest, more = data.draw(signatures())
    kind = data.draw(st.sampled_from(KINDS))
    args = [data.draw(anything) for _ in only]
    kwargs = {name: data.draw(anything) for name in named}
    if rest and not named:
        args += data.draw(st.lists(anything, max_size=2))
    if more:
        kwargs |= data.draw(st.dictionaries(st.sampled_from([*only, "extra"]), anything, max_size=2))
    arrived: list[dict[str, Any]] = []
    run(function_of(kind, head, arrived), kind, args, kwargs)
    held = data.draw(rules())
    mismatch = data.draw(st.sampled_from(["unknown", "unknown", "false"]))
    engine = PolicyEngine(mismatch=mismatch)
    engine.import_rules(held)
    context = {"agent_id": "a1", "action": "tool", "environment": {}, "params": seen(arrived.pop())}
    effect, rule_id = decide(held, context, mismatch=mismatch)
    guarded = Guard(engine, agent="a1")("tool")(function_of(kind, head, arrived))
    if effect == "DENY":
        with pytest.raises(ActionDenied) as denied:
            run(guarded, kind, args, kwargs)
        assert denied.value.decision.rule_id == rule_id
        assert not arrived
    else:
        run(guarded, kind, args, kwargs)
        assert len(arrived) == 1
