"""Random rules, contexts that come close to them, for the policy module's property tests."""

from __future__ import annotations

import copy
import dataclasses
import enum
import math
from collections import UserDict, defaultdict, deque, namedtuple
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import attrs
import msgspec
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr

from brain.policy import Condition, Effect, Operator, Rule
from brain.policy.values import path_of, thaw

WORDS = ["", "a", "b", "ab", "guest", "admin", "delete", "db/x", "1", "ÄÖ", "a\nb", "no"]
FIELDS = [
    "agent_role",
    "agent.role",
    "action",
    "action",
    "resource",
    "agent_id",
    "agent.team.name",
    "params",
    "params.amount",
    "params.deep.er.still",
    "environment.zone",
    "tenant",
]
PATTERNS = ["a", "a.*", "ab$", "(a|b)+$", "[a-z]+", "db/.*", "^guest$", r"db\/x", "", ".*e$", "(?i)A", "Ä", ".*"]

# What compares in unlike ways is all in it, and it is small, so that equal values meet often.
scalars = st.sampled_from([*WORDS, 0, 1, -1, 2, 0.0, 1.0, 0.5, -1.5, True, False, None])
values = st.one_of(
    scalars,
    scalars,
    scalars,
    st.lists(scalars, max_size=3),
    st.dictionaries(st.sampled_from(["a", "b", "amount"]), scalars, max_size=2),
    st.sampled_from([[1], [True], [[1]], [[True]], {"a": 1}, {"a": True}, {"a": {"b": [0]}}]).map(copy.deepcopy),
)


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


@dataclasses.dataclass
class Record:
    a: Any = None
    amount: Any = None
    name: Any = None


@attrs.define
class Attributes:
    a: Any = None
    amount: Any = None
    name: Any = None


class Struct(msgspec.Struct):
    a: Any = None
    amount: Any = None
    name: Any = None


class Model(BaseModel):
    model_config = ConfigDict(extra="ignore")
    a: Any = None
    amount: Any = None
    name: Any = None


Named = namedtuple("Named", "a amount name", defaults=(None, None, None))


class Broken:
    """Whose every comparison raises."""

    def _refuse(self, *others: object) -> Any:
        raise RuntimeError("no")

    __eq__ = __hash__ = __lt__ = __gt__ = __contains__ = __bool__ = _refuse  # type: ignore[assignment]


def _enum_of(value: Any) -> Any:
    return enum.Enum("Choice", {"ONE": value}).ONE  # type: ignore[attr-defined]


def _object_of(kind: Any) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(["a", "amount", "name"]), scalars, max_size=2).map(lambda them: kind(**them))


odd_numbers = st.sampled_from(
    [
        Decimal("5000"),
        Decimal("0.5"),
        Decimal("0.1"),
        Decimal("1"),
        Decimal("1.00000000000000000001"),
        Decimal("Infinity"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1E+5000"),
        Fraction(1, 2),
        Fraction(1, 3),
        Fraction(2),
        Whole(1),
        Real(0.5),
        float("inf"),
        -float("inf"),
        float("nan"),
        10**30,
        -(2**70),
    ]
)
odd_values = st.one_of(
    odd_numbers,
    odd_numbers,
    st.sampled_from(WORDS).map(Text),
    st.sampled_from([*WORDS, 0, 1, 2, 0.5]).map(_enum_of),
    st.sampled_from(WORDS).map(str.encode),
    st.just(b"\xff"),
    st.builds(Broken),
    st.sampled_from([object(), SecretStr("a"), 1j, Record, deque(["a", 1]), PurePosixPath("db/x"), date.min]),
    st.sampled_from([UUID(int=1), datetime.min]),
    st.lists(scalars, max_size=3).map(tuple),
    st.frozensets(st.sampled_from(WORDS), max_size=3),
    st.sampled_from([Record, Attributes, Struct, Model, Named, UserDict]).flatmap(_object_of),
    st.builds(lambda: defaultdict(dict, a=1)),
    st.sampled_from([{1: "a"}, {_enum_of("amount"): 1}, [object()], {"a": float("nan")}, [Decimal("0.1")]]).map(
        copy.copy
    ),
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """One condition, more often one that files its rule than not."""
    field = draw(st.sampled_from(FIELDS))
    operator = draw(st.sampled_from(["==", "==", "==", "in", "in", "!=", ">", "<", "contains", "matches"]))
    if operator in (">", "<"):
        value: Any = draw(st.sampled_from([-1, 0, 1, 2, 0.5, 1.0, *WORDS]))
    elif operator == "matches":
        value = draw(st.sampled_from(PATTERNS))
    else:
        value = draw(st.lists(values, max_size=4) if operator == "in" else values)
    return Condition(field, Operator(operator), value)


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    """Rules with distinct ids, on few priorities."""
    rules = []
    for number in range(draw(st.sampled_from([12, 10, 8, 6, 4, 2, 1, 0]))):
        held = [draw(conditions()) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 1, 2, 2, 3])))]
        rules.append(
            Rule(
                id=f"r{number}",
                name=f"rule {number}",
                effect=draw(st.sampled_from(list(Effect))),
                conditions=held,
                priority=draw(st.integers(-1, 1)),
                enabled=draw(st.sampled_from([True, True, True, False])),
            )
        )
    return rules


@st.composite
def contexts(draw: st.DrawFn, rules: list[Rule], *, odd: bool = False) -> dict[str, Any]:
    """A context: some fields at random, then the fields of some rules made to fit their conditions, or nearly.

    With `odd` some values are of types that JSON lacks.
    """
    context: dict[str, Any] = {}
    for field in draw(st.sampled_from([(), ("action",), ("action", "agent_role", "resource"), ("params", "tenant")])):
        context[field] = draw(values)
    aimed = [draw(st.sampled_from(rules)) for _ in range(draw(st.sampled_from([1, 2, 3])))] if rules else []
    for rule in aimed:
        for condition in rule.conditions:
            near = _near(condition)
            if odd:
                near = st.one_of(near, near.map(_dressed), odd_values)
            _put(context, path_of(condition.field), draw(near))
    if odd and "params" in context and draw(st.booleans()):
        context["params"] = _dressed(context["params"])
    if draw(st.integers(0, 4)) == 0 and "agent_role" in context:
        context["agent"] = {"role": context.pop("agent_role")}
    return context


def _near(condition: Condition) -> st.SearchStrategy[Any]:
    """Values that make the condition hold, with others that look like them."""
    value = thaw(condition.value)
    if condition.operator is Operator.IN:
        fitting = [*value, value]
    elif condition.operator is Operator.CONTAINS:
        fitting = [[value], {"a": value}, f"x{value}y", value, [value, "b"]]
        if isinstance(value, str):
            fitting.append({value: 1})
    elif condition.operator is Operator.MATCHES:
        fitting = ["a", "ab", "abab", "db/x", "guest", "Ä", "A", "xa", "bee"]
    else:
        fitting = [value]
    like = [_twin(one) for one in fitting] + [_more(one) for one in fitting[:1]]
    return st.sampled_from([*like, *fitting, *fitting]) if fitting else values


def _dressed(value: Any) -> Any:
    """The value as one of another type that rules see alike."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return _enum_of(Text(value))
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Fraction(repr(value)) if math.isfinite(value) else Real(value)
    if isinstance(value, list):
        return deque(_dressed(one) for one in value)
    if isinstance(value, dict):
        return UserDict({Text(key): _dressed(member) for key, member in value.items()})
    return value


def _twin(value: Any) -> Any:
    """What Python takes for equal and the policy does not, or the reverse."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return bool(value) if value in (0, 1) else float(value)
    return [_twin(one) for one in value] if isinstance(value, list) else str(value)


def _more(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return "1"
    if isinstance(value, (int, float)):
        return value + 1
    return value + "b" if isinstance(value, str) else copy.deepcopy(value)


def _put(context: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(context.get(key), dict):
            context[key] = {}
        context = context[key]
    context[path[-1]] = value
