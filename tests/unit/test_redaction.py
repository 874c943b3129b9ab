"""What is secret is replaced, what is not stays, and equal values stay comparable."""

# ruff: noqa: E501

from __future__ import annotations

import json
import logging
import random
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain import Event, EventStream, HealthEvent, ImmuneService, PolicyEngine, ThreatService, redaction
from brain.logs import Log
from brain.policy.approvals import Approvals
from brain.redaction import (
    MARK,
    is_clean,
    is_seen_clean_event,
    mark,
    redacted,
    redacted_body,
    redacted_json,
    redacted_text,
)
from brain.store import open_store
from brain.testing import RecordingStream
from support.contents import contents
from support.secrets_planted import NAMED, SECRETS, TEXTS, found_in, planted

CLEAN = {
    "max_tokens": 100, "input_tokens": 5, "token_count": 7, "tokens": 3, "token": 5, "password_length": 12, "token_type": "Bearer",
    "secret_name": "db", "authorization_url": "https://id.example/authorize", "cookie_policy": "strict", "keyboard": "de", "monkey": "x",
    "at": 1764488888123, "at_us": 1764488888123456, "at_ns": 1764488888123456789, "took": 0.4160001873970032, "flag": True, "none": None,
    "text": "the password is wrong, basic authentication; a token of respect: see --help", "id": "evt_policy_1703001234567_9f3ac81b2d40aabb",
    "hash": "9f3ac81b2d40aabb41111111111111114111111111111111", "url": "https://user@example.com:8443/a?b=c", "order_id": "4111111111111111",
    "phone": "+49 30 1234567", "version": "1.2.3-4567", "password": None, "secrets": [],
}  # fmt: skip


def test_there_are_fifty_of_fifteen_kinds_and_none_stays() -> None:
    assert len(set(SECRETS)) >= 50
    data = msgspec.json.encode(planted())
    assert sorted(found_in(data.replace(b"\\n", b"\n"))) == sorted(SECRETS)
    shown = redacted_json(data)
    assert found_in(shown) == []
    assert len(set(json.dumps(json.loads(shown)).split(MARK)[1:])) > 40
    assert redacted_json(shown) == shown, "what is redacted stays as it is"
    kinds = {part.partition(":")[0] for part in shown.decode().split(MARK)[1:]}
    assert len(kinds) >= 15


@pytest.mark.parametrize(("text", "secret"), TEXTS)
def test_each_text(text: str, secret: str) -> None:
    for shown in (redacted_text(text), redacted(text), redacted({"a": [text]})["a"][0]):
        assert secret not in shown
        assert MARK in shown
    escaped = json.dumps({"a": text}).encode().replace(b"-", b"\\u002d")  # as another encoder may write it
    assert secret not in json.loads(redacted_body(escaped))["a"]


@pytest.mark.parametrize(("name", "value"), NAMED)
def test_each_name(name: str, value: str) -> None:
    shown = redacted_json(msgspec.json.encode({"params": {name: value, "other": value}}))
    params = json.loads(shown)["params"]
    assert params["other"] == value
    assert params[name].startswith(MARK)


def test_what_is_no_secret_stays() -> None:
    data = msgspec.json.encode(CLEAN)
    assert json.loads(redacted_json(data)) == CLEAN
    assert redacted(CLEAN) == CLEAN


def test_of_numbers_only_cards_are_changed() -> None:
    numbers = random.Random(1)
    ids = [str(numbers.randrange(10**15, 10**16)) for _ in range(10_000)]
    assert sum(redacted_text(f"order {id}") != f"order {id}" for id in ids) <= 300
    assert redacted({"card": 4111111111111111})["card"].startswith("redacted:card:")


def test_equal_values_have_equal_marks() -> None:
    first, second, other = (redacted({"password": value})["password"] for value in ("a-b-c", "a-b-c", "a-b-d"))
    assert first == second != other
    assert mark("password", "a-b-c") == first


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_is_read_and_redacting_again_changes_nothing(value: Any) -> None:
    once = redacted(value)
    assert redacted(once) == once
    json.dumps(once)


@pytest.mark.parametrize("name", ["tax_number", "taxNumber", "TAX-NUMBER", "größe", "GRÖßE", "Größe"])
def test_names_of_the_settings_in_each_spelling(name: str) -> None:
    redaction.configure(names=["tax_number", "größe"])
    try:
        assert not is_clean({name: "123456"})
        assert b"123456" not in redacted_json(msgspec.json.encode({"payload": {name: "123456"}}))
    finally:
        redaction.configure()
    assert is_clean({name: "123456"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20) | st.sampled_from(SECRETS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=10) | st.sampled_from(["password", "token", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=JSON)
def test_what_is_clean_is_what_redacting_leaves_as_it_is(value: Any) -> None:
    for _ in "ab":  # looked at, and remembered
        assert not is_clean(value) or redacted(value) == value


FIELDS = st.dictionaries(
    st.text(max_size=10) | st.sampled_from(["agent_id", "password", "token", "n", *(name for name, _ in NAMED)]),
    JSON
    | st.floats()
    | st.sampled_from(
        [4_111_111_111_111_111, 10**11, True, {}, [], *(text for text, _ in TEXTS), *dict(NAMED).values()]
    ),
    max_size=4,
)


@given(payload=FIELDS, meta=FIELDS, target=st.none() | st.text(max_size=20) | st.sampled_from(SECRETS))
def test_the_quick_look_at_an_event_says_clean_of_nothing_that_the_whole_look_changes(
    payload: dict[str, Any], meta: dict[str, Any], target: str | None
) -> None:
    given_meta = {"correlation_id": None, "version": "1.0", **meta}
    for _ in "ab":  # looked at, and remembered
        if is_seen_clean_event(payload, given_meta, target):
            data = msgspec.json.encode({"target": target, "payload": payload, "meta": given_meta})
            assert redacted_json(data) == data
            assert redacted([payload, given_meta, target]) == [payload, given_meta, target]
            assert json.loads(data) == {"target": target, "payload": payload, "meta": given_meta}  # no NaN became null


@settings(max_examples=30)
@given(asker=st.tuples(*[JSON] * 4), params=FIELDS, environment=FIELDS)
def test_the_event_of_a_decision_is_what_the_whole_look_makes_of_it(
    asker: tuple[Any, ...], params: dict[str, Any], environment: dict[str, Any]
) -> None:
    context = dict(zip(("agent_id", "agent_role", "action", "resource"), asker, strict=True))
    recording, careful = RecordingStream(), Careful()
    for stream in (recording, careful):
        engine = PolicyEngine(event_stream=stream)
        for _ in "ab":  # looked at, and remembered
            engine.evaluate({**context, "params": params, "environment": environment})
    assert len(recording.events) == 4, "each decision and its denial"
    for quick, whole in zip(recording.events, careful.events, strict=True):
        expected = json.loads(redacted_json(whole.encode()))["payload"]
        assert (quick.type, _untimed(quick.payload)) == (whole.type, _untimed(expected))


class Careful:
    """A foreign stream, for which each event is made whole."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


def _untimed(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != "evaluation_time_us"}


def test_a_meta_that_was_clean_and_was_changed_is_looked_at_again() -> None:
    meta: dict[str, Any] = {"correlation_id": None, "version": "1.0", "note": "fine"}
    assert is_seen_clean_event({}, meta, None)
    meta["note"] = TEXTS[0][0]
    assert not is_seen_clean_event({}, meta, None)
    inner: list[str] = []
    nested = {"correlation_id": None, "version": "1.0", "notes": inner}
    assert is_seen_clean_event({}, nested, None)
    inner.append(TEXTS[0][0])
    assert not is_seen_clean_event({}, nested, None)
    redaction.configure(names=["note"])
    try:
        assert not is_seen_clean_event({}, {**meta, "note": "fine"}, None)
    finally:
        redaction.configure()


def test_what_was_seen_before_is_not_scanned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    event = Event(type="test.happened", source="test_service", payload={"agent": "a-17", "labels": ["x" * 20, 5, None]})
    with EventStream.open_sync(f"sqlite:///{tmp_path}/brain.db") as stream:
        assert stream.publish(event).refused is None
        for scanner in ("_scanner", "_text_scanner"):
            monkeypatch.setattr(redaction, scanner, None)
        assert stream.publish(event).refused is None
        assert "NoneType" in str(stream.publish(msgspec.structs.replace(event, payload={"b": "another text"})).refused)


def test_a_decision_like_one_before_is_not_scanned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = {
        "agent_id": "a",
        "agent_role": "r",
        "action": "x",
        "resource": "y",
        "environment": {},
        "params": {"n": 1},
    }
    with EventStream.open_sync(f"sqlite:///{tmp_path}/brain.db") as stream:
        engine = PolicyEngine(event_stream=stream)
        engine.evaluate(context)
        scanned: list[bytes] = []
        monkeypatch.setattr(redaction, "_scanner", lambda: lambda data, start=0: scanned.append(data))
        engine.evaluate(context)
        assert scanned == []
        engine.evaluate(context | {"params": {"n": "z" * 300}})
        assert scanned


def test_long_deep_and_secret_values_and_those_of_other_types_are_looked_at_again() -> None:
    deep: Any = {}
    for _ in range(20):
        deep = {"a": deep}
    for value in ("x" * 257, deep, {"password": "abc"}, {5: "a"}, {"a": b"bytes"}, [4111111111111111], TEXTS[0][0]):
        assert not is_clean(value)


async def test_nothing_of_a_secret_reaches_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("key", "key_file"):
        monkeypatch.setattr(redaction._state, name, None)  # as in a process that has opened nothing yet
    url = f"sqlite:///{tmp_path}/brain.db"
    context = {
        "agent_id": "a",
        "agent_role": "r",
        "action": "run",
        "resource": "x",
        "environment": {},
        "params": planted(),
    }
    texts = " ".join(text for text, _ in TEXTS)
    async with EventStream.open(url) as stream:
        store = open_store(url)
        stream.publish(Event(type="tool.called", source="tool_service", payload=planted()))
        decision = PolicyEngine(event_stream=stream).evaluate(context)
        Approvals(store, stream).request(decision, context)
        threats = ThreatService(stream, store)
        threat = await threats.create_threat("x", texts[:150], description=texts, metadata=planted())
        await threats.update_threat_status(threat.id, "INVESTIGATING", texts[:400])
        immune = ImmuneService(stream, store)
        await immune.publish_event(
            HealthEvent(severity="CRITICAL", kind="ERROR_SPIKE", module="m", message=texts, details=planted())
        )  # type: ignore[arg-type]
        with caplog.at_level(logging.INFO):
            Log("brain.test").error(texts[:300], raised=ValueError(texts), **{"url": texts, "password": NAMED[0][1]})
        assert stream.flush()
        store.close()
    with sqlite3.connect(tmp_path / "brain.db") as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = contents(tmp_path)
    assert len(files) >= 2
    for path, kept in files.items():
        assert found_in(kept) == [], path
    assert found_in(caplog.text) == []
    assert (tmp_path / "brain.db.redaction-key").stat().st_mode & 0o777 == 0o600
