"""Events as CloudEvents and back, in the structured and the binary form of HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from brain import EnvelopeError, Event, catalogue, correlation
from brain.cloudevents import from_cloudevent, to_cloudevent

Wire = Callable[[BaseCloudEvent], BaseCloudEvent]


def structured(event: BaseCloudEvent) -> BaseCloudEvent:
    return http.from_http_event(http.to_structured_event(event))


def binary(event: BaseCloudEvent) -> BaseCloudEvent:
    message = http.to_binary_event(event)
    for name, value in message.headers.items():
        assert f"{name}: {value}".isascii()
        assert value.isprintable()
    return http.from_http_event(message)


def untouched(event: BaseCloudEvent) -> BaseCloudEvent:
    return event


WIRES = pytest.mark.parametrize("wire", [untouched, structured, binary])


@WIRES
def test_every_declared_type_comes_back_as_it_was(wire: Wire) -> None:
    for declared in catalogue().values():
        event = declared.event(declared.example, target="soc", meta={"correlation_id": "story", "causation_id": "x"})
        assert from_cloudevent(wire(to_cloudevent(event))) == event


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
META = st.builds(
    lambda story, others: {**story, **others},
    st.fixed_dictionaries({}, optional={"correlation_id": st.none() | st.text()}),
    st.dictionaries(
        st.sampled_from(["causation_id", "traceparent", "tracestate", "version", "cloudevent", "mine", "ü"]),
        st.text() | JSON,
    ),
)
EVENTS = st.builds(
    Event,
    type=st.just("test.happened"),
    source=st.just("test_service"),
    target=st.none() | st.text(),
    timestamp=st.floats(1e-3, 9.9e10),
    payload=st.dictionaries(st.text(), JSON, max_size=4),
    meta=META,
)


@WIRES
@given(event=EVENTS)
def test_any_event_comes_back_as_it_was(wire: Wire, event: Event) -> None:
    assert from_cloudevent(wire(to_cloudevent(event))) == event


def test_what_holds_what() -> None:
    event = Event(
        id="evt_shop_1703001234567_9f3ac81b2d40",
        type="order.paid",
        source="shop_service",
        target="billing",
        timestamp=1703001234.5,
        payload={"amount": 5},
        meta={"correlation_id": "order-4711", "version": "1.0", "causation_id": "evt_shop_1_0123456789ab", "tries": 2},
    )
    assert json.loads(http.to_structured_event(to_cloudevent(event)).body) == {
        "specversion": "1.0",
        "id": "evt_shop_1703001234567_9f3ac81b2d40",
        "type": "order.paid",
        "source": "shop_service",
        "time": "2023-12-19T15:53:54.500000Z",
        "datacontenttype": "application/json",
        "charterversion": "1.0",
        "chartertarget": "billing",
        "correlationid": "order-4711",
        "causationid": "evt_shop_1_0123456789ab",
        "charterenvelope": '{"meta":{"tries":2}}',
        "data": {"amount": 5},
    }
    message = http.to_binary_event(to_cloudevent(event))
    assert message.headers["content-type"] == "application/json"
    assert message.headers["ce-correlationid"] == "order-4711"
    assert json.loads(message.body) == {"amount": 5}


def test_the_context_of_who_reads_does_not_enter_what_is_read() -> None:
    event = Event(type="order.paid", source="shop_service", payload={})
    with correlation("reader", traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
        assert from_cloudevent(to_cloudevent(event)).meta == event.meta
        assert from_cloudevent(CloudEvent({"type": "a.b", "source": "/c"})).meta["correlation_id"] is None


def test_what_others_added_on_the_way_is_kept() -> None:
    event = Event(type="order.paid", source="shop_service", payload={})
    cloudevent = to_cloudevent(event)
    cloudevent.get_attributes()["knativearrivaltime"] = datetime(2024, 12, 28, tzinfo=UTC)
    back = from_cloudevent(cloudevent)
    assert back.meta == {**event.meta, "cloudevent": {"knativearrivaltime": "2024-12-28T00:00:00Z"}}
    assert from_cloudevent(to_cloudevent(back)) == back


@WIRES
def test_a_foreign_event(wire: Wire) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    attributes = {
        "specversion": "1.0",
        "id": "A234-1234-1234",
        "source": "https://github.com/cloudevents/spec/pull",
        "type": "com.github.pull_request.opened",
        "subject": "123",
        "time": datetime(2018, 4, 5, 17, 31, 5, tzinfo=UTC),
        "datacontenttype": "application/json",
        "correlationid": "flow-1",
        "traceparent": parent,
        "comexampleextension": "value",
    }
    event = from_cloudevent(wire(CloudEvent(dict(attributes), {"number": 123})))
    assert event.type == "com.github.pull_request.opened"
    assert event.source == "github_com_cloudevents_spec_pull_service"
    assert event.id.startswith("evt_github_com_cloudevents_spec_pull_1522949465000_")
    assert event.timestamp == 1522949465.0
    assert event.payload == {"number": 123}
    assert event.meta == {
        "correlation_id": "flow-1",
        "version": "1.0",
        "traceparent": parent,
        "cloudevent": {**attributes, "time": "2018-04-05T17:31:05Z"},
    }
    assert Event.decode(event.encode()) == event
    assert from_cloudevent(wire(CloudEvent(dict(attributes), {"number": 123}))) == event, "delivered again, the same"
    assert from_cloudevent(to_cloudevent(event)) == event


@pytest.mark.parametrize(
    ("foreign", "expected"),
    [
        ("order.paid", "order.paid"),
        ("com.example.sampletype1", "com.example.sampletype1"),
        ("OrderPaid", "cloudevent.order_paid"),
        ("com.example.someevent/v2", "com.example.someevent.v2"),
        ("Microsoft.Storage.BlobCreated", "microsoft.storage.blob_created"),
        ("io.k8s.pod:updated", "io.k8s.pod.updated"),
        ("7up.opened", "cloudevent.7up.opened"),
        ("com.example.order-paid", "com.example.order_paid"),
        ("\u6ce8\u6587", "cloudevent.event"),
        ("...", "cloudevent.event"),
        ("threat.detected", "cloudevent.threat.detected"),
        ("Threat.Detected", "cloudevent.threat.detected"),
    ],
)
def test_foreign_types(foreign: str, expected: str) -> None:
    event = from_cloudevent(CloudEvent({"type": foreign, "source": "/shop"}))
    assert event.type == expected
    assert event.meta["cloudevent"]["type"] == foreign


@pytest.mark.parametrize(
    ("foreign", "expected"),
    [
        ("/mycontext", "mycontext_service"),
        ("https://example.com/Event-Producer", "example_com_event_producer_service"),
        ("urn:event:from:myapi/resource/123", "event_from_myapi_resource_123_service"),
        ("mailto:cncf-wg-serverless@lists.cncf.io", "cncf_wg_serverless_lists_cncf_io_service"),
        ("shop_service", "shop_service"),
        ("1-555-123-4567", "cloudevent_1_555_123_4567_service"),
        ("/", "cloudevent_service"),
        ("\u6ce8", "cloudevent_service"),
        ("policy_service", "cloudevent_policy_service"),
        ("https://threats", "cloudevent_threats_service"),
        ("/" + "long/" * 100, "_".join(["long"] * 12) + "_service"),
    ],
)
def test_foreign_sources(foreign: str, expected: str) -> None:
    event = from_cloudevent(CloudEvent({"type": "order.paid", "source": foreign}))
    assert event.source == expected
    assert event.meta["cloudevent"]["source"] == foreign


@pytest.mark.parametrize(
    ("data", "content_type", "payload"),
    [
        ({"a": 1}, "application/json", {"a": 1}),
        (None, None, {}),
        ("plain", "text/plain", {"data": "plain"}),
        ("123", "application/json", {"data": "123"}),
        ([1, 2], "application/json", {"data": [1, 2]}),
        (b'{"a": 1}', "application/vnd.acme+json; charset=utf-8", {"a": 1}),
        (b"{broken", "application/json", {"data_base64": "e2Jyb2tlbg=="}),
        (b"\x00\x01", "application/octet-stream", {"data_base64": "AAE="}),
        (b'{"a": 1}', None, {"data_base64": "eyJhIjogMX0="}),
    ],
)
def test_foreign_data(data: Any, content_type: str | None, payload: dict[str, Any]) -> None:
    attributes = {"type": "order.paid", "source": "/shop"}
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    assert from_cloudevent(CloudEvent(attributes, data)).payload == payload


def test_without_a_time_the_id_is_the_same_each_time() -> None:
    class Timeless:
        def get_attributes(self) -> dict[str, Any]:
            return {"specversion": "1.0", "id": "7", "type": "order.paid", "source": "/shop"}

        def get_data(self) -> object:
            return {}

    first, second = from_cloudevent(Timeless()), from_cloudevent(Timeless())
    assert first.id == second.id
    assert first.id.startswith("evt_shop_0_")
    assert first.timestamp > 1.7e9


def test_the_same_id_of_another_source_is_another_event() -> None:
    ids = {from_cloudevent(CloudEvent({"type": "a.b", "source": s, "id": "1"})).id for s in ("/shop", "/shop/")}
    assert len(ids) == 2


class Made:
    """A CloudEvent of whatever attributes, as a careless binding might build it."""

    def __init__(self, data: Any = None, **attributes: Any) -> None:
        self._data = data
        self._attributes = {key: value for key, value in attributes.items() if value is not ...}

    def get_attributes(self) -> dict[str, Any]:
        return self._attributes

    def get_data(self) -> Any:
        return self._data


GOOD: dict[str, Any] = {"specversion": "1.0", "id": "1", "type": "order.paid", "source": "/shop"}
OURS: dict[str, Any] = {
    **GOOD,
    "charterversion": "1.0",
    "id": "evt_shop_1_0123456789ab",
    "source": "shop_service",
    "time": datetime(2024, 12, 28, tzinfo=UTC),
    "data": {},
}


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ({**GOOD, "id": ...}, "id: must be a string that is not empty, not None"),
        ({**GOOD, "source": ""}, "source: must be a string that is not empty, not ''"),
        ({**GOOD, "type": 7}, "type: must be a string that is not empty, not 7"),
        ({**GOOD, "specversion": "0.3"}, "specversion: '0.3' is not 1.0"),
        ({**GOOD, "time": "yesterday"}, "time: 'yesterday' is not a time with a zone after 1970"),
        ({**GOOD, "time": datetime(2024, 12, 28)}, "time: .* is not a time with a zone"),
        ({**GOOD, "time": datetime(1969, 1, 1, tzinfo=UTC)}, "time: .* is not a time with a zone after 1970"),
        ({**OURS, "charterversion": "2.0"}, "charterversion: '2.0' is not 1.0"),
        ({**OURS, "id": "7"}, "id: '7' is not of the form"),
        ({**OURS, "type": "Paid"}, "type: 'Paid' is not of the form"),
        ({**OURS, "source": "/shop"}, "source: '/shop' is not of the form"),
        ({**OURS, "time": ...}, "time: is missing"),
        ({**OURS, "data": "text"}, "data: must be a JSON object, not str"),
        ({**OURS, "charterenvelope": "[]"}, "charterenvelope: Expected `object`"),
        ({**OURS, "charterenvelope": "{"}, "charterenvelope: "),
        ({**OURS, "charterenvelope": 7}, "charterenvelope: "),
        ({**OURS, "charterenvelope": '{"payload": {}}'}, "charterenvelope: .*payload"),
        ({**OURS, "charterenvelope": '{"timestamp": -1}'}, "charterenvelope: timestamp: -1.0 is not a time"),
    ],
)
def test_faults_name_the_attribute(attributes: dict[str, Any], fault: str) -> None:
    with pytest.raises(EnvelopeError, match=f"^{fault}"):
        from_cloudevent(Made(**attributes))


def test_what_is_no_json_cannot_be_sent() -> None:
    with pytest.raises(EnvelopeError, match="payload or meta: cannot be written as JSON"):
        to_cloudevent(Event(type="order.paid", source="shop_service", payload={"o": object()}))
    with pytest.raises(EnvelopeError, match=r"timestamp: 1e\+300 is not a time"):
        to_cloudevent(Event(type="order.paid", source="shop_service", payload={}, timestamp=1e300))
