"""Events, patterns and packages as other programs use values: in sets, as keys, in pydantic models, in `dir()`."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Annotated, Any

import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, ValidationError

import brain
from brain import Event, Pattern


class Order(BaseModel):
    """A model of a user's, with events in it."""

    why: Event
    more: list[Event] = []


def made(**more: Any) -> Event:
    return Event(type="a.b", source="c_service", payload={"n": [1]}, **more)


def test_an_event_is_a_member_of_sets() -> None:
    one, other = made(), made()
    again = Event.decode(one.encode())
    assert again == one
    assert {one, other, again} == {one, other}
    assert len({one, other, again}) == 2


def test_an_event_is_a_field_of_a_model() -> None:
    event = made(target="x")
    order = Order(why=event)
    assert order.why is event
    assert order.model_dump() == {"why": event.to_dict(), "more": []}
    assert Order.model_validate_json(order.model_dump_json()) == order
    assert Order.model_validate(order.model_dump()) == order
    assert Event(**event.to_dict()) == event
    schema = Order.model_json_schema()["properties"]["why"]
    assert schema["properties"].keys() == event.to_dict().keys()
    assert schema["required"] == ["type", "source", "payload"]


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"type": "a.b", "source": "c_service"}, ("why", "payload"), "Field required"),
        ({"type": "A", "source": "c_service", "payload": {}}, ("why",), "type: 'A' is not of the form"),
        ({"type": "a.b", "source": "c_service", "payload": {}, "x": 1}, ("why", "x"), "Extra inputs"),
    ],
)
def test_what_is_no_event_is_an_error_of_the_model(fields: dict[str, Any], place: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate_json(json.dumps({"why": fields}))
    (error,) = caught.value.errors()
    assert (error["loc"], message in error["msg"]) == (place, True)


def test_an_event_is_the_body_of_a_route() -> None:
    app = FastAPI()

    @app.post("/")
    def take(event: Annotated[Event, Body()]) -> Event:
        return event

    with TestClient(app) as client:
        event = made()
        assert client.post("/", json=event.to_dict()).json() == event.to_dict()
        refused = client.post("/", json={**event.to_dict(), "source": "nobody"})
        assert (refused.status_code, "source: 'nobody'" in refused.text) == (422, True)
        assert client.get("/openapi.json").status_code == 200


def test_patterns_are_compared_by_what_they_match() -> None:
    assert Pattern("a.*") == Pattern(["a.*"]) != Pattern("b.*")
    assert {Pattern(["a.*", "b.c"]), Pattern(["b.c", "a.*"])} == {Pattern(("a.*", "b.c"))}
    assert Pattern("a.*") != "a.*"


@pytest.mark.parametrize("package", ["brain", "brain.policy", "brain.stream", "brain.threats", "brain.testing"])
def test_dir_shows_what_a_package_offers(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= set(dir(module))


def test_the_package_offers_its_packages() -> None:
    assert brain.policy.PolicyEngine is brain.PolicyEngine
