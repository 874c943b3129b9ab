"""The ASGI middleware that takes a request's correlation id and trace into the context of its events."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from brain import Event
from brain.charter import current_meta
from brain.server.correlation import Correlation

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def meta_of_an_event(request: Request) -> Response:
    """Sync: runs in a thread of the pool, where the context must be the request's too."""
    return JSONResponse(Event(type="test.happened", source="test_service", payload={}).meta)


async def fails(request: Request) -> Response:
    return PlainTextResponse("no", 503)


async def talks(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(current_meta())
    await websocket.close()


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/meta", meta_of_an_event), Route("/fails", fails), WebSocketRoute("/talks", talks)]
    app = Starlette(routes=routes)
    app.add_middleware(Correlation)
    return TestClient(app)


def test_the_given_id_reaches_the_events_and_the_answer(client: TestClient) -> None:
    answer = client.get("/meta", headers={"X-Correlation-Id": "order-4711"})
    assert answer.json() == {"correlation_id": "order-4711", "version": "1.0"}
    assert answer.headers["X-Correlation-Id"] == "order-4711"
    assert client.get("/fails", headers={"X-Correlation-Id": "a"}).headers["X-Correlation-Id"] == "a"


@pytest.mark.parametrize("bad", [None, "", "two words", "x" * 201, "\u00fc".encode("latin-1")])
def test_a_missing_or_unfit_id_is_replaced_and_told(client: TestClient, bad: Any) -> None:
    answers = [client.get("/meta", headers={} if bad is None else {"X-Correlation-Id": bad}) for _ in range(2)]
    ids = [answer.headers["X-Correlation-Id"] for answer in answers]
    assert [answer.json()["correlation_id"] for answer in answers] == ids
    assert ids[0] != ids[1]
    assert all(one.startswith("req_") and len(one) == 36 for one in ids)


def test_the_trace_is_continued(client: TestClient) -> None:
    meta = client.get("/meta", headers={"traceparent": PARENT, "tracestate": "a=1,b=2"}).json()
    assert (meta["traceparent"], meta["tracestate"]) == (PARENT, "a=1,b=2")


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "00-nonsense")],
        [("traceparent", PARENT), ("traceparent", PARENT)],
        [("tracestate", "a=1")],
    ],
)
def test_a_malformed_or_doubled_trace_is_none(client: TestClient, headers: list[tuple[str, str]]) -> None:
    meta = client.get("/meta", headers=headers).json()
    assert set(meta) == {"correlation_id", "version"}


def test_a_tracestate_too_long_is_left_out(client: TestClient) -> None:
    meta = client.get("/meta", headers={"traceparent": PARENT, "tracestate": "a=" + "x" * 600}).json()
    assert meta["traceparent"] == PARENT
    assert "tracestate" not in meta


def test_web_sockets_too(client: TestClient) -> None:
    with client.websocket_connect("/talks", headers={"X-Correlation-Id": "ws-1"}) as socket:
        assert socket.receive_json()["correlation_id"] == "ws-1"
        assert (b"x-correlation-id", b"ws-1") in (socket.extra_headers or [])


def test_nothing_stays_behind(client: TestClient) -> None:
    client.get("/meta", headers={"X-Correlation-Id": "gone"})
    assert current_meta() == {"correlation_id": None, "version": "1.0"}
