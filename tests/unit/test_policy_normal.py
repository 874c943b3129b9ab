"""What a rule sees of any Python value: one row of the table in docs/policy.md after the other."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import OrderedDict, UserDict, UserList, UserString, defaultdict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from ipaddress import ip_address
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import attrs
import httpx
import msgspec
import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, RootModel, SecretStr, computed_field

from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.normalisation import MAX_DEPTH, Opaque, normalise, unwrap


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Role(enum.Enum):
    ADMIN = "admin"
    NESTED = Colour.RED


class Renamed(str, enum.Enum):  # noqa: UP042
    """Members that are texts, and have another value."""

    def __new__(cls, text: str, value: str) -> Renamed:
        member = str.__new__(cls, text)
        member._value_ = value
        return member

    ADMIN = ("admin", "guest")


class Bits(enum.Flag):
    A = 1
    B = 2


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Big(int):
    pass


class Rough(float):
    pass


class Point(NamedTuple):
    x: int
    y: int


Pair = namedtuple("Pair", "left right")


@dataclasses.dataclass
class Order:
    amount: Decimal
    lines: tuple[Point, ...] = ()


@attrs.define
class Box:
    width: int
    label: Any = None


class Note(msgspec.Struct):
    text: str
    order: Any = None


class Payment(BaseModel):
    model_config = ConfigDict(extra="allow")
    amount: Decimal = Field(alias="Amount")
    site: HttpUrl | None = None

    @computed_field
    @property
    def doubled(self) -> Decimal:
        return self.amount * 2


class Numbers(RootModel[list[int]]):
    pass


class Indexed:
    def __index__(self) -> int:
        return 7


class Floating:
    def __float__(self) -> float:
        return 2.5


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")


ROWS: list[tuple[Any, Any]] = [
    (None, None),
    (True, True),
    ("text", "text"),
    (2**200, 2**200),
    (1.5, 1.5),
    (math.inf, math.inf),
    (Loud("quiet"), "quiet"),
    (Big(5), 5),
    (Rough(0.5), 0.5),
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (Role.ADMIN, "admin"),
    (Role.NESTED, "red"),
    (Bits.A | Bits.B, 3),
    (Decimal("5000"), 5000),
    (Decimal("5E+3"), 5000),
    (Decimal("0.1"), 0.1),
    (Decimal("-0"), 0),
    (Decimal("Infinity"), math.inf),
    (Decimal("-Infinity"), -math.inf),
    (Decimal("1E+999999"), Decimal("1E+999999")),
    (Decimal("0.10000000000000000001"), Decimal("0.10000000000000000001")),
    (Fraction(6, 3), 2),
    (Fraction(1, 10), 0.1),
    (Fraction(1, 3), Fraction(1, 3)),
    (Indexed(), 7),
    (Floating(), 2.5),
    ((1, "a"), [1, "a"]),
    (deque([1, 2]), [1, 2]),
    ({"b", "a"}, ["a", "b"]),
    (frozenset({2, 1}), [1, 2]),
    (UserList([1]), [1]),
    ({"a": 1}.keys(), ["a"]),
    (UserString("text"), "text"),
    (defaultdict(int, a=1), {"a": 1}),
    (OrderedDict(a=1), {"a": 1}),
    (UserDict(a=1), {"a": 1}),
    (MappingProxyType({"a": 1}), {"a": 1}),
    ({1: "a", None: "b", Colour.RED: "c"}, {"1": "a", "null": "b", "red": "c"}),
    ({1: "number", "1": "text"}, {"1": "text"}),
    (Point(1, 2), {"x": 1, "y": 2}),
    (Pair(1, Colour.RED), {"left": 1, "right": "red"}),
    (Order(Decimal("5"), (Point(1, 2),)), {"amount": 5, "lines": [{"x": 1, "y": 2}]}),
    (Box(3), {"width": 3, "label": None}),
    (Note("x", Box(1)), {"text": "x", "order": {"width": 1, "label": None}}),
    (
        Payment.model_validate({"Amount": "2.5", "site": "https://example.org/a", "more": 1}),
        {"amount": 2.5, "site": "https://example.org/a", "more": 1, "doubled": 5},
    ),
    (Numbers([1, 2]), [1, 2]),
    (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
    (date(2026, 1, 2), "2026-01-02"),
    (time(3, 4), "03:04:00"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (PurePosixPath("/a/b"), "/a/b"),
    (ip_address("10.0.0.1"), "10.0.0.1"),
    (httpx.URL("https://example.org/a"), "https://example.org/a"),
    (urlsplit("https://example.org/a?b=1"), "https://example.org/a?b=1"),
    (b"text", "text"),
    (bytearray(b"text"), "text"),
    (memoryview(b"text"), "text"),
]


@pytest.mark.parametrize(("value", "seen"), ROWS, ids=[f"{type(row[0]).__name__}-{n}" for n, row in enumerate(ROWS)])
def test_each_kind_of_value_is_seen_as_the_table_says(value: object, seen: object) -> None:
    found = normalise(value)
    assert found == seen
    assert type(found) is type(seen)
    assert normalise(found) == seen
    layer = unwrap(value)
    assert type(layer) is type(seen)


@pytest.mark.parametrize(
    "value",
    [object(), timedelta(1), range(3), b"\xff", 1 + 2j, SecretStr("hidden"), int, iter([1]), Hostile(), len, Ellipsis],
    ids=lambda value: type(value).__name__,
)
def test_all_else_is_opaque_and_tells_no_secret(value: object) -> None:
    found = normalise(value)
    assert isinstance(found, Opaque)
    assert found.text
    assert "hidden" not in found.text
    assert normalise(found) is found
    assert isinstance(normalise({"a": [value]})["a"][0], Opaque)


@pytest.mark.parametrize("value", [math.nan, Decimal("NaN"), Decimal("sNaN"), Rough("nan")])
def test_nan_of_every_type_is_one_nan(value: object) -> None:
    found = normalise(value)
    assert type(found) is float
    assert math.isnan(found)


def test_depth_and_members_are_bounded_and_a_value_may_hold_itself() -> None:
    deep: Any = "end"
    for _ in range(MAX_DEPTH):
        deep = [deep]
    found = normalise(deep)
    for _ in range(MAX_DEPTH):
        found = found[0]
    assert found == "end"
    found = normalise([deep])
    for _ in range(MAX_DEPTH):
        found = found[0]
    assert isinstance(found, Opaque)

    own: list[Any] = [1]
    own += [own, own]
    found = normalise(own)
    assert found[0] == 1
    assert isinstance(found[1], Opaque)

    many: Any = []
    for _ in range(31):
        many = [many, many]
    assert isinstance(normalise(many), list)  # in all 2**31 members


def test_a_field_that_cannot_be_read_is_opaque_and_one_that_is_not_set_is_missing() -> None:
    class Odd(BaseModel):
        a: int = 1

        @computed_field
        @property
        def broken(self) -> int:
            raise RuntimeError("no")

    found = normalise(Odd())
    assert found["a"] == 1
    assert isinstance(found["broken"], Opaque)
    assert normalise(Odd.model_construct())["a"] == 1
    unset = Odd.model_construct()
    del unset.__dict__["a"]
    assert "a" not in normalise(unset)


def test_the_answer_is_a_copy() -> None:
    given = {"lines": [{"amount": 1}]}
    found = normalise(given)
    given["lines"][0]["amount"] = 2
    given["lines"].append({})
    assert found == {"lines": [{"amount": 1}]}


@pytest.mark.parametrize("field", ["agent_role", "params.role"])
def test_a_member_that_is_a_text_is_that_text_however_rules_are_filed(field: str) -> None:
    """A dictionary finds it by the text that it equals, so every other way must see the same."""
    engine = PolicyEngine(default_effect="ALLOW")
    engine.add_rule(Rule(id="deny", name="d", effect="DENY", conditions=[Condition(field, "==", "admin")]))
    engine.add_rule(Rule(id="allow", name="a", effect="ALLOW", conditions=[Condition(field, "==", "guest")]))
    for role in (Renamed.ADMIN, "admin"):
        assert engine.evaluate({"agent_role": role, "params": {"role": role}}).rule_id == "deny"
    assert normalise(Renamed.ADMIN) == "admin"
