"""Guards in front of functions, tools, and HTTP applications."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from brain.errors import InvalidInput
from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.guards import ActionDenied, ApprovalRequired, Guard, acting_as
from brain.policy.guards_http import PolicyMiddleware, requires
from brain.testing import RecordingStream
from support.waiting import wait_until


@pytest.fixture
def stream() -> RecordingStream:
    return RecordingStream()


@pytest.fixture
def engine(stream: RecordingStream) -> Iterator[PolicyEngine]:
    def rule(name: str, effect: str, *conditions: tuple[str, str, Any], **more: Any) -> Rule:
        return Rule(id=name, name=name, effect=effect, conditions=[Condition(*one) for one in conditions], **more)

    with PolicyEngine(stream) as engine:
        engine.add_rule(rule("support", "ALLOW", ("agent_role", "==", "support")))
        engine.add_rule(rule("big", "DENY", ("params.amount", ">", 100), priority=5))
        engine.add_rule(rule("locked", "DENY", ("resource", "==", "order/7"), priority=5))
        metadata = {"requires_approval": True}
        engine.add_rule(rule("ask", "AUDIT", ("action", "==", "payments.void"), priority=5, metadata=metadata))
        yield engine


SUPPORT = {"agent_id": "a1", "agent_role": "support"}


def test_a_guarded_function(engine: PolicyEngine, stream: RecordingStream) -> None:
    guard = Guard(engine)
    done: list[int] = []

    @guard("payments.refund", resource="order/{order_id}")
    def refund(order_id: int, amount: int = 10, **more: Any) -> str:
        """Pay back."""
        done.append(order_id)
        return f"refunded {amount}"

    assert refund.__doc__ == "Pay back."
    with acting_as("a1", agent_role="support"):
        assert refund(1, note="x") == "refunded 10"
        payload = stream.get_events_by_type("policy.rule_evaluated")[-1].payload
        assert payload["params"] == {"order_id": 1, "amount": 10, "note": "x"}
        assert (payload["action"], payload["resource"], payload["agent_id"]) == ("payments.refund", "order/1", "a1")
        with pytest.raises(ActionDenied, match="big") as caught:
            refund(2, amount=500)
        assert caught.value.decision.rule_id == "big"
        with pytest.raises(ActionDenied):
            refund(7)
        with pytest.raises(TypeError, match="order_id"):
            refund()  # type: ignore[call-arg]
    with acting_as("a1"), pytest.raises(ActionDenied, match="no rule matches"):
        refund(3)
    assert done == [1]


async def test_guarded_coroutines_and_generators(engine: PolicyEngine) -> None:
    guard = Guard(engine, agent=lambda: SUPPORT)

    @guard("read", params=["amount"])
    async def read(amount: int, secret: str = "s") -> int:
        return amount

    @guard("read")
    async def stream(amount: int) -> AsyncIterator[int]:
        for number in range(amount):
            yield number

    assert asyncio.iscoroutinefunction(read)
    assert await read(5) == 5
    assert [number async for number in stream(3)] == [0, 1, 2]
    with pytest.raises(ActionDenied):
        await read(500)
    with pytest.raises(ActionDenied):
        await anext(stream(500))


def test_what_is_asked_can_be_worked_out_from_the_arguments(engine: PolicyEngine, stream: RecordingStream) -> None:
    guard = Guard(engine, environment={"zone": "eu"})

    class Order:
        @guard(
            "order.ship",
            resource=lambda self, to: f"city/{to}",
            params=lambda self, to: {"to": to, "odd": self},
            agent=lambda self, to: {**SUPPORT, "tenant": "t1"},
        )
        def ship(self, to: str) -> str:
            return to

        def __repr__(self) -> str:
            return "an order"

    assert Order().ship("Ulm") == "Ulm"
    payload = stream.get_events_by_type("policy.rule_evaluated")[-1].payload
    assert payload["resource"] == "city/Ulm"
    assert payload["params"] == {"to": "Ulm", "odd": "an order"}
    assert payload["environment"] == {"zone": "eu"}
    assert payload["extra"] == {"tenant": "t1"}


async def test_tools(engine: PolicyEngine) -> None:
    guard = Guard(engine, agent=SUPPORT)

    def add(amount: int) -> int:
        return amount + 1

    class Fetch:
        name = "fetch"

        async def __call__(self, amount: int) -> int:
            return amount

    tools = guard.tools([add, Fetch()])
    assert tools.keys() == {"add", "fetch"}
    assert tools["add"](1) == 2
    assert await tools["fetch"](3) == 3
    with pytest.raises(ActionDenied):
        tools["add"](amount=101)
    with pytest.raises(ActionDenied):
        await tools["fetch"](101)
    assert guard.tools({"plus": add})["plus"](1) == 2
    assert guard.tool(max, name="max")(3, 4) == 4
    with pytest.raises(InvalidInput, match="cannot be called"):
        guard.tool(object())  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", ["grant", "refuse"])
def test_a_guard_waits_for_a_person(engine: PolicyEngine, stream: RecordingStream, answer: str) -> None:
    guard = Guard(engine, agent=SUPPORT)
    asked = threading.Event()

    def person() -> None:
        asked.wait(60)
        (request,) = engine.approvals.list("PENDING")
        getattr(engine.approvals, answer)(request.id, by="ann", reason="I looked")

    publish = stream.publish

    def watched(event: Any) -> Any:
        result = publish(event)
        if event.type == "policy.approval_requested":
            asked.set()
        return result

    stream.publish = watched  # type: ignore[method-assign]
    thread = threading.Thread(target=person)
    thread.start()
    void = guard("payments.void")(lambda: "done")
    if answer == "grant":
        assert void() == "done"
    else:
        with pytest.raises(ActionDenied, match="refused by ann: I looked"):
            void()
    thread.join()
    steps = [event.type.removeprefix("policy.approval_") for event in stream.events if "approval" in event.type]
    assert steps == (["requested", "granted", "used"] if answer == "grant" else ["requested", "refused"])


async def test_no_answer_in_time_is_a_denial(engine: PolicyEngine, stream: RecordingStream) -> None:
    guard = Guard(engine, agent=SUPPORT, approval_timeout=0.15)

    @guard("payments.void")
    async def void() -> str:
        return "done"

    with pytest.raises(ActionDenied, match="no answer came in time"):
        await void()
    with pytest.raises(ActionDenied, match="no answer came in time"):
        await asyncio.to_thread(guard("payments.void")(lambda: "done"))
    assert len(stream.get_events_by_type("policy.approval_expired")) == 2


def test_a_guard_that_raises_lets_the_same_call_through_once(engine: PolicyEngine) -> None:
    guard = Guard(engine, agent=SUPPORT, on_approval="raise")

    @guard("payments.void")
    def void(order: int) -> str:
        return "done"

    with pytest.raises(ApprovalRequired) as caught:
        void(1)
    with pytest.raises(ApprovalRequired) as again:
        void(1)
    assert again.value.approval.id == caught.value.approval.id
    engine.approvals.grant(caught.value.approval.id, by="ann")
    with pytest.raises(ApprovalRequired):
        void(2)
    assert void(1) == "done"
    with pytest.raises(ApprovalRequired):
        void(1)


def test_an_approval_does_not_outweigh_a_denial_that_came_meanwhile(engine: PolicyEngine) -> None:
    guard = Guard(engine, agent=SUPPORT)

    def person() -> None:
        wait_until(lambda: bool(engine.approvals.list("PENDING")))
        engine.contain("a1", ttl=60, reason="stolen key")
        engine.approvals.grant(engine.approvals.list("PENDING")[0].id, by="ann")

    thread = threading.Thread(target=person)
    thread.start()
    with pytest.raises(ActionDenied, match="stolen key"):
        guard("payments.void")(lambda: "done")()
    thread.join()


def test_a_fastapi_dependency(engine: PolicyEngine) -> None:
    guard = Guard(engine)
    app = FastAPI()
    needs = requires(
        guard,
        "orders.delete",
        resource="order/{order_id}",
        agent=lambda request: {"agent_id": "w", "agent_role": request.headers.get("role", "")},
    )

    @app.delete("/orders/{order_id}")
    async def delete(order_id: int, decision: Any = Depends(needs)) -> str:
        return decision.rule_id

    with TestClient(app) as client:
        assert client.delete("/orders/1", headers={"role": "support"}).json() == "support"
        denied = client.delete("/orders/7", headers={"role": "support"})
        assert denied.status_code == 403
        assert denied.json()["detail"]["rule_id"] == "locked"
        assert client.delete("/orders/1").status_code == 403


def test_an_asgi_middleware(engine: PolicyEngine) -> None:
    app = FastAPI()

    @app.get("/{path:path}")
    async def read(path: str) -> str:
        return path

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")

    async def who(connection: Any) -> dict[str, Any]:
        return {"agent_id": "w", "agent_role": connection.headers.get("role", "")}

    app.add_middleware(PolicyMiddleware, guard=Guard(engine), agent=who, exempt=["/healthz"])
    with TestClient(app) as client:
        assert client.get("/x", headers={"role": "support"}).status_code == 200
        denied = client.get("/x")
        assert (denied.status_code, denied.headers["content-type"]) == (403, "application/problem+json")
        assert client.get("/healthz").status_code == 200
        with client.websocket_connect("/live", headers={"role": "support"}) as socket:
            assert socket.receive_text() == "hello"
        with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect("/live"):
            pass
        assert closed.value.code == 1008
