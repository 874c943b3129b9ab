"""Arguments as guards see them: by the function's own names, whole, and as they arrive."""

from __future__ import annotations

import asyncio
import enum
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.errors import InvalidInput
from brain.policy import ActionDenied, Condition, Guard, PolicyEngine, Rule
from brain.policy.guards.binding import binder
from brain.testing import RecordingStream


@pytest.fixture
def stream() -> RecordingStream:
    return RecordingStream()


@pytest.fixture
def engine(stream: RecordingStream) -> Iterator[PolicyEngine]:
    with PolicyEngine(stream, default_effect="ALLOW") as engine:
        yield engine


@pytest.fixture
def guard(engine: PolicyEngine) -> Guard:
    return Guard(engine, agent="a1")


def seen(stream: RecordingStream) -> dict[str, Any]:
    params: dict[str, Any] = stream.get_events_by_type("policy.rule_evaluated")[-1].payload["params"]
    return params


def deny(engine: PolicyEngine, field: str, operator: str, value: object) -> None:
    condition = Condition(field, operator, value)
    engine.add_rule(Rule(id=f"deny-{len(engine.rules())}", name="no", effect="DENY", conditions=[condition]))


def test_a_keyword_cannot_hide_a_parameter_of_its_name(
    guard: Guard, engine: PolicyEngine, stream: RecordingStream
) -> None:
    def read(path: str, /, **options: object) -> str:
        return path

    guarded = guard("read")(read)
    assert guarded("/open", path="/etc", mode=1) == "/open"
    assert seen(stream) == {"path": "/open", "mode": 1, "**": {"path": "/etc"}}
    deny(engine, "params.path", "==", "/secret")
    deny(engine, "params.**.path", "==", "/hidden")
    for call in (lambda: guarded("/secret", path="/open"), lambda: guarded("/open", path="/hidden")):
        with pytest.raises(ActionDenied):
            call()
    assert guarded("/open", path="/secret") == "/open"


def test_extra_keywords_have_one_place_each(guard: Guard, stream: RecordingStream) -> None:
    @guard("call")
    def call(first: int, /, *args: int, **kwargs: int) -> None: ...

    call(1, 2, 3, first=4, args=5, kwargs=6, **{"**": 7, "a.b": 8})
    assert seen(stream) == {
        "first": 1,
        "args": [2, 3],
        "kwargs": 6,
        "a.b": 8,
        "**": {"first": 4, "args": 5, "**": 7},
    }


def test_arguments_called_self_and_cls_stay(guard: Guard, stream: RecordingStream) -> None:
    @guard("call")
    def call(self: int, cls: int = 2) -> int:
        return self + cls

    assert call(1) == 3
    assert seen(stream) == {"self": 1, "cls": 2}
    assert call(cls=5, self=4) == 9
    assert seen(stream) == {"self": 4, "cls": 5}


class Order:
    """Methods of every kind, whose guard is put on once there is one."""

    amount = 0

    def ship(this, to: str) -> str:  # noqa: N805
        return to

    @classmethod
    def of(klass, to: str) -> str:  # noqa: N804
        return to

    @staticmethod
    def zone(self: str) -> str:
        return self

    def total(self, *amounts: int) -> int:
        return sum(amounts)

    def link(self, **others: Order) -> Order:
        return others["other"]

    def total_of(*amounts: Any) -> int:  # type: ignore[misc]
        return sum(amounts[1:])


@pytest.mark.parametrize("outside", [True, False], ids=["guard outside", "guard inside"])
def test_what_a_method_is_bound_to_is_left_out(guard: Guard, stream: RecordingStream, outside: bool) -> None:
    class Guarded(Order):
        ship = guard("ship")(Order.ship)
        of = guard("of")(Order.__dict__["of"]) if outside else classmethod(guard("of")(Order.__dict__["of"].__func__))
        zone = (
            guard("zone")(Order.__dict__["zone"])
            if outside
            else staticmethod(guard("zone")(Order.__dict__["zone"].__func__))
        )
        total = guard("total")(Order.total)
        total_of = guard("total")(Order.total_of)
        link = guard("link")(Order.link)

        @property
        @guard("read")
        def weight(self) -> int:
            return 7

    class Heavier(Guarded):
        pass

    for order in (Guarded(), Heavier()):
        assert order.ship("Ulm") == "Ulm"
        assert seen(stream) == {"to": "Ulm"}
        assert Guarded.ship(order, to="Bonn") == "Bonn"
        assert seen(stream) == {"to": "Bonn"}
        assert (order.of("Ulm"), type(order).of(to="Bonn")) == ("Ulm", "Bonn")
        assert seen(stream) == {"to": "Bonn"}
        assert order.zone("eu") == "eu"
        assert seen(stream) == {"self": "eu"}
        assert order.total(1, 2) == 3
        assert seen(stream) == {"amounts": [1, 2]}
        assert order.total_of(1, 2) == 3
        assert seen(stream) == {"amounts": [1, 2]}
        assert order.link(other=order) is order
        assert seen(stream).keys() == {"other"}
        assert order.weight == 7
        assert seen(stream) == {}
    outside_of_it = guard("ship")(Order.ship)
    assert outside_of_it(Order(), "Ulm") == "Ulm"
    assert seen(stream).keys() == {"this", "to"}, "no method of Order's: what it is given is an argument"


def test_partials_built_ins_and_classes(guard: Guard, engine: PolicyEngine, stream: RecordingStream) -> None:
    def pay(amount: int, to: str, note: str = "") -> int:
        return amount

    bound = functools.partial(functools.partial(pay, 5), to="ann")
    assert guard("pay", resource="to/{to}")(bound)(note="x") == 5
    assert seen(stream) == {"amount": 5, "to": "ann", "note": "x"}
    assert guard("pay", params=lambda amount, to: {"sum": amount})(bound)() == 5
    assert seen(stream) == {"sum": 5}
    assert guard.tool(max)(3, 4) == 4
    assert seen(stream) == {"args": [3, 4]}
    assert guard.tool(Decimal, name="number")("1.5") == Decimal("1.5")
    assert guard.tool(Order().ship, name="ship")("Ulm") == "Ulm"
    assert seen(stream) == {"to": "Ulm"}
    deny(engine, "params.amount", ">", 500)
    with pytest.raises(ActionDenied):
        guard("pay")(functools.partial(pay, 900))(to="ann")


def test_params_that_are_no_arguments_are_a_fault(guard: Guard) -> None:
    with pytest.raises(InvalidInput, match="amont is not among the arguments of pay: amount"):
        guard("pay", params=["amont"])(lambda amount: amount)(5)
    with pytest.raises(InvalidInput, match=r"params: .* is not a mapping"):
        guard("pay", params=lambda amount: [amount])(lambda amount: amount)(5)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("template", ["order/{id}", "order/{}", "order/{amount.id}", "order/{amount"])
def test_a_resource_that_does_not_fit_the_arguments_is_a_fault(guard: Guard, template: str) -> None:
    with pytest.raises(InvalidInput, match=r"resource: 'order/.*' does not fit the arguments of pay \(amount\): "):
        guard("pay", resource=template)(lambda amount: amount)(5)


@pytest.mark.parametrize("action", [lambda amount: amount, "", 5, None])
def test_an_action_that_is_no_text_is_refused_when_the_guard_is_put_on(guard: Guard, action: Any) -> None:
    with pytest.raises(InvalidInput, match=r"action: .* is not the name of an action; write @guard\("):
        guard(action)


def test_a_call_that_does_not_fit_is_the_callers_type_error(guard: Guard) -> None:
    @guard("pay")
    def pay(amount: int) -> int:
        return amount

    for call in (lambda: pay(), lambda: pay(1, 2), lambda: pay(1, amount=2), lambda: pay(1, more=2)):  # type: ignore[call-arg, misc]
        with pytest.raises(TypeError, match="pay"):
            call()


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 900


NAMES = ("self", "cls", "path", "args", "kwargs", "spread", "d0", "amount")
VALUES = st.one_of(
    st.sampled_from([0, 5, 900, 5.5, True, None, "900", "x", float("inf"), Level.HIGH, Level.LOW]),
    st.sampled_from([Decimal("5000"), Decimal("0.1"), Fraction(9001, 10), (900,), [1, 900], {"amount": 900}, b"900"]),
)
KINDS = ("def", "async def", "generator", "async generator")


@dataclass
class Case:
    """A function's head, and arguments that mostly fit it."""

    head: str
    args: list[Any]
    kwargs: dict[str, Any]


@st.composite
def cases(draw: Any) -> Case:
    """Parameters of every kind, each perhaps with a default, called in each way that they can be."""
    names = list(draw(st.permutations(NAMES)))
    only, both, keyword = ([names.pop() for _ in range(draw(st.integers(0, 2)))] for _ in range(3))
    rest, extra = (names.pop() if draw(st.booleans()) else None for _ in range(2))
    defaulted = draw(st.integers(0, len(only + both)))
    positional = [
        name + (f"=DEFAULTS[{place}]" if place >= defaulted else "") for place, name in enumerate(only + both)
    ]
    head = positional[: len(only)] + ["/"] * bool(only) + positional[len(only) :]
    head += [f"*{rest}"] if rest else ["*"] * bool(keyword)
    head += [name + ("=DEFAULTS[7]" if draw(st.booleans()) else "") for name in keyword]
    head += [f"**{extra}"] if extra else []
    given = draw(st.integers(min(len(only), defaulted), len(only + both)))
    args = [draw(VALUES) for _ in range(given)]
    kwargs = {name: draw(VALUES) for name in (only + both)[given:] + keyword if name not in only}
    if rest and given == len(only + both):
        args += draw(st.lists(VALUES, max_size=2))
    if extra or draw(st.integers(0, 9)) == 0:
        free = [name for name in (*NAMES, "**", "else") if name not in both + keyword]
        kwargs |= draw(st.dictionaries(st.sampled_from(free), VALUES, max_size=3))
    return Case(", ".join(head), args, kwargs)


def made(head: str, kind: str, arrived: list[dict[str, Any]], defaults: list[Any]) -> Callable[..., Any]:
    """A function of that kind that notes what arrived, told apart by how each parameter is declared."""
    names = [part.split("=")[0] for part in head.split(", ") if part not in ("", "/", "*")]
    own = ", ".join(f"{name.lstrip('*')!r}: {name.lstrip('*')}" for name in names if not name.startswith("**"))
    extra = next((name[2:] for name in names if name.startswith("**")), "{}")
    note = f"arrived.append(({{{own}}}, {extra}))"
    body = f"yield {note}" if "generator" in kind else f"return {note}"
    scope: dict[str, Any] = {"DEFAULTS": defaults, "arrived": arrived}
    exec(f"{'async ' if 'async' in kind else ''}def function({head}):\n    {body}", scope)
    function: Callable[..., Any] = scope["function"]
    return function


def run(function: Callable[..., Any], kind: str, args: Any, kwargs: Any) -> None:
    if kind == "def":
        function(*args, **kwargs)
    elif kind == "generator":
        list(function(*args, **kwargs))
    else:
        asyncio.run(_awaited(function, kind, args, kwargs))


async def _awaited(function: Callable[..., Any], kind: str, args: Any, kwargs: Any) -> None:
    if kind == "async def":
        await function(*args, **kwargs)
        return
    steps: AsyncIterator[Any] = function(*args, **kwargs)
    async for _ in steps:
        pass


@given(
    case=cases(),
    kind=st.sampled_from(KINDS),
    bound=st.integers(0, 2),
    defaults=st.lists(VALUES, min_size=8, max_size=8),
    field=st.sampled_from((*NAMES, "**.path", "**.self", "amount.amount")),
    operator=st.sampled_from([">", "==", "!="]),
)
def test_the_decision_is_the_one_on_what_arrives(
    case: Case, kind: str, bound: int, defaults: Any, field: str, operator: str
) -> None:
    args, kwargs = case.args[bound:], case.kwargs
    arrived: list[Any] = []
    function: Callable[..., Any] = functools.partial(made(case.head, kind, arrived, defaults), *case.args[:bound])
    engine = PolicyEngine(RecordingStream(), default_effect="ALLOW")
    deny(engine, f"params.{field}", operator, 900)
    guarded = Guard(engine, agent="a1")("do")(function)
    try:
        run(function, kind, args, kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            run(guarded, kind, args, kwargs)
        assert not arrived
        return
    own, extra = arrived.pop()
    params = {name: value for name, value in extra.items() if name not in own and name != "**"} | own
    hidden = {name: value for name, value in extra.items() if name in own or name == "**"}
    if hidden:
        params["**"] = hidden
    context = {"agent_id": "a1", "environment": {}, "action": "do", "params": params}
    expected = engine.evaluate(context).allowed
    try:
        run(guarded, kind, args, kwargs)
    except ActionDenied:
        assert not expected
        assert not arrived
    else:
        assert expected
        assert repr(arrived.pop()) == repr((own, extra))


def test_names_that_the_binder_uses_itself_are_free() -> None:
    def odd(spread: int, spread_: int, d0: int = 1, /, *d1: int, d2: int = 2, **d3: int) -> None: ...

    assert binder(odd)(3, 4, spread=5) == {"spread": 3, "spread_": 4, "d0": 1, "d1": (), "d2": 2, "**": {"spread": 5}}


class Size(enum.Enum):
    LARGE = "large"


class Kind(str, enum.Enum):  # noqa: UP042
    FILE = "file"


class Quiet(int):
    def __str__(self) -> str:
        return "1"

    __format__ = object.__format__


@pytest.mark.parametrize(
    ("value", "resource"),
    [
        (Size.LARGE, "of/large"),
        (Kind.FILE, "of/file"),
        (Quiet(9), "of/9"),
        (9, "of/9"),
        (date(2026, 1, 2), "of/2026-01-02"),
    ],
)
def test_a_resource_names_what_rules_see_of_a_value(
    guard: Guard, stream: RecordingStream, value: object, resource: str
) -> None:
    guard("read", resource="of/{value}")(lambda value: value)(value)
    payload = stream.get_events_by_type("policy.rule_evaluated")[-1].payload
    assert payload["resource"] == resource


def test_a_resource_may_name_a_part_of_a_value(guard: Guard, stream: RecordingStream) -> None:
    guard("read", resource="of/{day.year}/{day:%m}/{kind.value!s}")(lambda day, kind: day)(date(2026, 1, 2), Kind.FILE)
    payload = stream.get_events_by_type("policy.rule_evaluated")[-1].payload
    assert payload["resource"] == "of/2026/01/file"
