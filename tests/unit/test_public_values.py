"""The values that users get: immutable, equal by what they hold, members of sets, and silent about secrets."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from brain import Condition, DeliveryOptions, Event, EventStream, HealthEvent, Pattern, PolicyEngine, Rule
from brain.alerting.matchers import Matcher
from brain.alerting.models import Alert
from brain.alerting.silences import Silence
from brain.charter import Severity
from brain.incidents.models import Incident
from brain.plugins import plugins
from brain.policy import Decision
from brain.policy.approvals import Approval, ApprovalStatus
from brain.settings import load_settings
from brain.stream import DeadLetter, GroupInfo, Stored
from brain.threats import Threat
from brain.threats.events import DETECTED

EVENT = Event(type="a.b", source="c_service", payload={"n": [1]})


def rule(**more: Any) -> Rule:
    return Rule(
        id="r1",
        name="No deletion",
        effect="DENY",
        conditions=[Condition("params.tables", "contains", ["a", {"b": 1}])],
        metadata={"owner": {"team": "db"}},
        **more,
    )


def decision() -> Decision:
    engine = PolicyEngine()
    engine.add_rule(Rule(id="r", name="r", effect="WARN", metadata={"k": [1]}))
    return engine.evaluate({"action": "read"})


def threat(**more: Any) -> Threat:
    times = {"detected_at": 1.0, "last_seen": 2.0, "updated_at": 2.0}
    fields = {"id": "thr_1", "type": "scan", "severity": "LOW", "source": "10.0.0.7", "correlation_id": "c", **times}
    return Threat(**{**fields, "metadata": {"ports": [22]}, **more})


def alert(**more: Any) -> Alert:
    texts = {"id": "alr_1", "key": "thr_1", "name": "scan", "summary": "a scan", "correlation_id": "c"}
    times = {"first_at": 1.0, "last_at": 2.0, "fired_at": 1.0}
    story = {"event": "threat.detected", "latest_correlation_id": "c", "labels": {"agent": "a1"}}
    return Alert(**{**texts, **times, **story, "severity": Severity.LOW, **more})


def approval() -> Approval:
    return Approval(
        id="apr_1",
        status=ApprovalStatus.PENDING,
        context={"action": "pay"},
        fingerprint="f",
        rule_id="r1",
        rule_name="r",
        reason="large",
        requested_at=1.0,
        expires_at=2.0,
    )


def silence() -> Silence:
    matchers = (Matcher("agent", "=", "a1"),)
    return Silence(id="s", matchers=matchers, starts_at=1.0, ends_at=2.0, by="ann", reason="night", created_at=1.0)


def incident() -> Incident:
    times = {"opened_at": 1.0, "updated_at": 1.0}
    return Incident(id="inc_1", number=1, correlation_id="c", episode=1, title="t", severity=Severity.LOW, **times)


MAKERS: dict[str, Callable[[], Any]] = {
    "rule": rule,
    "condition": lambda: Condition("params.n", ">", 1),
    "decision": decision,
    "event": lambda: Event.decode(EVENT.encode()),
    "event type": lambda: copy.copy(DETECTED),
    "pattern": lambda: Pattern(["a.*", "b.c"]),
    "threat": threat,
    "health event": lambda: HealthEvent("INFO", "ERROR_SPIKE", "orders", "12 errors", {"codes": [500]}),
    "approval": approval,
    "alert": alert,
    "silence": silence,
    "incident": incident,
    "stored event": lambda: Stored("1-0", EVENT),
    "dead letter": lambda: DeadLetter(group="g", position="1", data=b"{}", error="e", attempts=1, buried_at=1.0),
    "group": lambda: GroupInfo("g", "*", "1", "1", 0, 0, 0, 1),
    "delivery options": DeliveryOptions,
    "plug-in": lambda: copy.copy(plugins()["threats"]),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_value_is_equal_to_one_that_holds_the_same_and_a_member_of_sets(name: str) -> None:
    one, other = MAKERS[name](), MAKERS[name]()
    assert one == other
    assert {one: name}[other] == name
    assert copy.copy(one) in {one}


def a_field_of(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__[0]
    if dataclasses.is_dataclass(value):
        return dataclasses.fields(value)[0].name
    return value._fields[0] if isinstance(value, tuple) else "texts"


@pytest.mark.parametrize("name", MAKERS)
def test_a_value_cannot_be_changed(name: str) -> None:
    value = MAKERS[name]()
    field = a_field_of(value)
    with pytest.raises(AttributeError):
        setattr(value, field, getattr(value, field))


def test_what_differs_in_any_field_is_not_equal() -> None:
    assert rule() != rule(priority=1)
    assert threat() != threat(version=2)
    assert {threat(), threat(version=2), threat()} == {threat(version=2), threat()}
    assert alert() != alert(count=2)
    assert hash(threat()) == hash(threat(version=2))


async def test_a_receipt_is_a_member_of_sets() -> None:
    async with EventStream.open("memory://") as stream:
        receipt = stream.publish(EVENT)
        assert receipt in {receipt, stream.publish(EVENT)}
        with pytest.raises(AttributeError):
            receipt.seq = 7  # type: ignore[misc]
        assert EVENT.id in repr(receipt)


def test_settings_show_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_API_KEY", "hunter2hunter2")
    urls = {"stream": "redis://user:hunter2@cache:6379/0", "database": "postgresql://brain:hunter2@db/brain"}
    settings = load_settings(**urls, store="rediss://:hunter2@cache/1")
    assert settings.stream == urls["stream"]
    for shown in (repr(settings), str(settings), f"{settings}"):
        assert "hunter2" not in shown
        assert "redis://***@cache:6379/0" in shown


def told_to_type_checkers(cls: type) -> dict[str, tuple[bool, Any]]:
    """By parameter of the `__init__` that type checkers read: whether it has a default, and its kind."""
    tree = ast.parse(inspect.getsource(cls))
    (init,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    plain, named = init.args.args[1:], zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    required = len(plain) - len(init.args.defaults)
    told: dict[str, tuple[bool, Any]] = {
        one.arg: (place >= required, inspect.Parameter.POSITIONAL_OR_KEYWORD) for place, one in enumerate(plain)
    }
    return told | {one.arg: (default is not None, inspect.Parameter.KEYWORD_ONLY) for one, default in named}


@pytest.mark.parametrize("cls", [Condition, Rule])
def test_what_type_checkers_are_told_is_what_the_constructor_takes(cls: type) -> None:
    real = inspect.signature(cls).parameters.values()
    empty = inspect.Parameter.empty
    assert told_to_type_checkers(cls) == {one.name: (one.default is not empty, one.kind) for one in real}
    assert list(told_to_type_checkers(cls)) == [one.name for one in real]
