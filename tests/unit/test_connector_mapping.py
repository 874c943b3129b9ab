"""Mappings: paths, the items of each kind, keys, and what a mapping may not make."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from brain.errors import InvalidInput
from brain.links.catalogue import check_type
from brain.links.drift import SETTLED, Drift, Shape, compare, compare_schema, types_of
from brain.links.inbound import inbound_connectors
from brain.links.kinds import WEBHOOKS, document_of, kept_headers
from brain.links.mapping import FIELDS_BYTES, Item, joined_key, map_items, parse_mapping
from brain.links.settings import ConnectorSettings, MappingSettings
from brain.links.sources import Scene, moment, parse_source, read
from support.webhook_senders import connector, github, sentry, standard


def items(kind: str, headers: dict[str, str], body: Any, **mapping: Any) -> list[Item]:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    kept = kept_headers(WEBHOOKS[kind], headers)
    return list(map_items(parse_mapping(kind, mapping), document_of(WEBHOOKS[kind], kept, raw), kept, "digest"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", {"a": {"b c": [1, {"d": 2}]}}),
        ("$.a['b c'][0]", 1),
        ("$.a['b c'][-1].d", 2),
        ("$.a['b c'][2]", None),
        ("$.a.b", None),
        ("$.a['b c'].d", None),
        ("body:$.x", 3),
        ("header:X-Name", "y"),
        ("header:x-other", None),
        ("=$.a", "$.a"),
    ],
)
def test_a_source(path: str, value: object) -> None:
    scene = Scene({"a": {"b c": [1, {"d": 2}]}}, {"x": 3}, {"x-name": "y"})
    assert read(parse_source(path), scene) == value


@pytest.mark.parametrize("path", ["", "a", "$a", "$..a", "$.a[*]", "$.a[?(@.b)]", "$['a", "body:a", "$.a[1:2]"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(InvalidInput):
        parse_source(path)
    with pytest.raises(ValueError, match="subject"):
        MappingSettings(subject=(path,))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-11-29T10:00:00.123456789Z", 1795946400.123456),
        ("2026-11-29T11:00:00+01:00", 1795946400.0),
        (1795946400, 1795946400.0),
        (1795946400000, 1795946400.0),
        ("2026-11-29T10:00:00", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00Z", None),
        (True, None),
        ({}, None),
    ],
)
def test_a_moment(value: object, seconds: float | None) -> None:
    assert moment(value) == seconds


def test_github() -> None:
    body = {"action": "opened", "number": 7, "sender": {"login": "ann"}, "repository": {"full_name": "acme/shop"}}
    (item,) = items("github", github(b"", "d-1", "pull_request"), body)
    assert (item.key, item.name, item.subject) == ("d-1", "pull_request.opened", "acme/shop")
    assert item.fields == {"actor": "ann", "number": 7}
    (item,) = items("github", {**github(b"", "d-2", "ping")}, {"zen": "."})
    assert (item.name, item.subject, item.fields) == ("ping", None, {})
    form = {**github(b"", "d-3"), "content-type": "application/x-www-form-urlencoded"}
    (item,) = items("github", form, b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%7D")
    assert item.fields == {"ref": "refs/heads/main"}


def test_alertmanager_goes_by_the_alerts_own_status() -> None:
    alert = {"labels": {"alertname": "Down"}, "fingerprint": "f1", "startsAt": "2026-11-29T10:00:00.123456789Z"}
    alerts = [
        {**alert, "status": "firing", "endsAt": "0001-01-01T00:00:00Z"},
        {**alert, "status": "resolved", "endsAt": "2026-11-29T11:00:00Z"},
    ]
    found = items("alertmanager", {}, {"version": "4", "status": "firing", "groupKey": "{}", "alerts": alerts})
    assert [item.name for item in found] == ["alert.firing", "alert.resolved"]
    assert ["ends_at" in item.fields for item in found] == [False, True]
    assert len({item.key for item in found}) == 2
    assert {item.fields["group"] for item in found} == {"{}"}
    with pytest.raises(InvalidInput, match="version 4"):
        items("alertmanager", {}, {"version": "3", "alerts": []})


def test_cloudevents_in_three_modes() -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "com.example.x", "data": {"a": 1}}
    structured = items("cloudevents", {"content-type": "application/cloudevents+json; charset=utf-8"}, event)
    batch = items("cloudevents", {"content-type": "application/cloudevents-batch+json"}, [event, {**event, "id": "2"}])
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "com.example.x"}
    binary = items("cloudevents", {**headers, "content-type": "application/json"}, {"a": 1})
    assert structured == binary == batch[:1]
    assert [item.key for item in batch] == ["/s 1", "/s 2"]
    (text,) = items("cloudevents", {**headers, "content-type": "text/plain"}, b"hello")
    assert text.fields["data"] == "hello"
    with pytest.raises(InvalidInput, match="CloudEvent 0: source is missing"):
        items("cloudevents", {"content-type": "application/cloudevents+json"}, {**event, "source": ""})


def test_the_others() -> None:
    body = {"action": "created", "data": {"issue": {"shortId": "SHOP-1", "title": "KeyError", "level": "error"}}}
    (item,) = items("sentry", sentry(b"", "r-1"), body)
    assert (item.key, item.name, item.subject, item.fields["severity"]) == ("r-1", "issue.created", "SHOP-1", "error")
    (item,) = items("standard", standard(b"", "msg_1", 1.0), {"type": "invoice.paid", "data": {"id": 1}})
    assert (item.key, item.name, item.fields) == ("msg_1", "invoice.paid", {"data": {"id": 1}})
    (item,) = items("gitlab", {"idempotency-key": "k-1"}, {"object_kind": "merge_request", "object_attributes": {}})
    assert (item.key, item.name) == ("k-1", "merge_request")
    (item,) = items("stripe", {}, {"id": "evt_1", "type": "charge.failed", "created": 1795946400})
    assert (item.key, item.name, item.occurred_at) == ("evt_1", "charge.failed", 1795946400.0)
    (item,) = items("pagerduty", {}, {"event": {"id": "e1", "event_type": "incident.triggered"}})
    assert (item.key, item.name) == ("e1", "incident.triggered")


def test_an_item_without_a_key_is_known_by_its_bytes() -> None:
    (item,) = items("github", {"x-github-event": "push"}, {})
    assert item.key == "sha256:digest:0"


def test_keys_of_other_values_are_others() -> None:
    assert joined_key(["a b", "c"]) != joined_key(["a", "b c"])
    assert joined_key(["a", "b"]) == "a b"
    assert joined_key(["a", None]) is None
    assert joined_key([1, True, {"b": 1, "a": 2}]) == '1 true {"a":2,"b":1}'
    assert len(joined_key(["x" * 10_000]) or "") < 100


def test_fields_that_are_too_large_stay_in_the_delivery() -> None:
    (item,) = items("standard", standard(b"", "m", 1.0), {"type": "x", "data": "y" * FIELDS_BYTES})
    assert (item.fields, item.cut) == ({}, True)
    (item,) = items("standard", standard(b"", "m", 1.0), {"type": "x", "data": [1 << 63, 2**70]})
    assert item.cut


def test_a_mapping_of_ones_own() -> None:
    fields = {"who": ("$.user", "=nobody"), "from": ("header:x-github-event",)}
    (item,) = items("github", github(b"", "d"), {"user": "ann"}, type="ci.done", fields=fields, name=("=ci", "$.user"))
    assert item.fields == {"who": "ann", "from": "push"}
    assert (item.name, item.key) == ("ci.ann", "d")


def test_a_mapping_never_makes_what_a_plugin_of_ours_announces() -> None:
    check_type("ci.done")
    check_type("connector.received")
    for type in ("policy.rule_created", "threat.detected", "connector.registered"):
        inbound = {"github": connector("github", mapping={"type": type})}
        with pytest.raises(InvalidInput, match=f"inbound.github.mapping: type: {type} is announced by"):
            inbound_connectors(ConnectorSettings(inbound=inbound))


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"kind": "github"}, "needs a secret"),
        ({"kind": "singer", "secret": "x" * 20}, "a tap has no secret"),
        ({"kind": "github", "secret": "x" * 20, "command": ["tap"]}, "for the kind singer"),
        ({"kind": "gitea", "secret": "x" * 20}, "Input should be"),
    ],
)
def test_settings_that_make_no_sense(table: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        ConnectorSettings(inbound={"one": table})


def test_drift_is_told_once() -> None:
    shape: Shape | None = None
    for _ in range(SETTLED):
        shape, drifts = compare(shape, types_of({"a": 1, "b": "x", "c": None}))
        assert drifts == []
    shape, drifts = compare(shape, {"a": "string"})
    assert drifts == [Drift("a", "number", "string"), Drift("b", "string", None)]
    assert compare(shape, {"a": "string"})[1] == []
    assert compare(shape, {"a": "string", "b": "string", "d": "array"})[1] == []


def test_a_field_that_was_not_always_there_does_not_vanish() -> None:
    shape, _ = compare(None, {"a": "number"})
    for number in range(SETTLED * 2):
        shape, drifts = compare(shape, {"a": "number"} if number % 2 else {})
        assert drifts == []


def test_a_declared_schema_drifts_at_once() -> None:
    shape, drifts = compare_schema(None, {"id": "integer", "total": "number"})
    assert drifts == []
    shape, drifts = compare_schema(shape, {"id": "string"})
    assert drifts == [Drift("id", "integer", "string"), Drift("total", "number", None)]
    assert compare_schema(shape, {"id": "string"})[1] == []
