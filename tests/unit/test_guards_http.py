"""Guards on HTTP: what they decide on is what the endpoint gets, and nothing of it is taken from a header."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, File, Form, Header, Query, Request, UploadFile, WebSocket
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from brain.errors import InvalidInput
from brain.policy import ANONYMOUS, Condition, Guard, PolicyEngine, Rule, acting_as
from brain.policy.guards_http import PolicyMiddleware, acting, install, requires
from brain.testing import RecordingStream


@pytest.fixture
def stream() -> RecordingStream:
    return RecordingStream()


@pytest.fixture
def engine(stream: RecordingStream) -> Iterator[PolicyEngine]:
    with PolicyEngine(stream, default_effect="ALLOW") as engine:
        yield engine


def deny(engine: PolicyEngine, *conditions: tuple[str, str, Any]) -> None:
    rule_id = f"deny-{len(engine.rules())}"
    made = [Condition(*one) for one in conditions]
    engine.add_rule(Rule(id=rule_id, name=rule_id, effect="DENY", conditions=made))


def decided(stream: RecordingStream) -> dict[str, Any]:
    payload: dict[str, Any] = stream.get_events_by_type("policy.rule_evaluated")[-1].payload
    return payload


class Kind(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Order(BaseModel):
    amount: float
    note: str = "none"


class Paging:
    def __init__(self, limit: int = 10) -> None:
        self.limit = limit


class Filter(BaseModel):
    least: int = 0


@pytest.fixture
def needs(engine: PolicyEngine) -> Any:
    return Depends(requires(Guard(engine), "orders", agent=lambda connection: "a1"))


def test_parameters_are_decided_on_as_the_endpoint_gets_them(
    engine: PolicyEngine, stream: RecordingStream, needs: Any
) -> None:
    app = FastAPI()

    @app.post("/orders/{order_id}/{kind}", dependencies=[needs])
    async def change(
        order_id: int,
        kind: Kind,
        order: Order,
        tags: Annotated[list[str], Query()],
        paging: Annotated[Paging, Depends()],
        amount: Annotated[int, Query(alias="sum")] = 0,
        x_token: Annotated[str, Header()] = "",
        session: Annotated[str, Cookie()] = "",
    ) -> str:
        return "done"

    deny(engine, ("params.order.amount", ">", 500))
    deny(engine, ("params.amount", ">", 500))
    deny(engine, ("params.limit", ">", 100))
    with TestClient(app, cookies={"session": "s1"}) as client:
        answer = client.post("/orders/007/large?tags=a&tags=b&else=1&else=2&sum=5", json={"amount": 5})
        assert answer.status_code == 200, answer.text
        assert decided(stream)["params"] == {
            "order_id": 7,
            "kind": "large",
            "order": {"amount": 5.0, "note": "none"},
            "tags": ["a", "b"],
            "limit": 10,
            "amount": 5,
            "x_token": "",
            "session": "s1",
            "else": ["1", "2"],
        }
        assert decided(stream)["resource"] == "/orders/007/large"
        for query, amount in (("sum=900&amount=1", 5), ("sum=1", 900), ("limit=101", 5)):
            refused = client.post(f"/orders/7/large?tags=a&{query}", json={"amount": amount})
            assert refused.status_code == 403, query
        for query, body in (("sum=many", {"amount": 5}), ("sum=1", {"amount": "many"})):
            assert client.post(f"/orders/7/large?tags=a&{query}", json=body).status_code == 422


def test_the_resource_is_made_of_parsed_parameters(engine: PolicyEngine) -> None:
    app = FastAPI()
    guard = Guard(engine)
    needs = Depends(requires(guard, "o", agent=lambda c: "a1", resource="order/{order_id}/{kind}", params=["order_id"]))

    @app.get("/orders/{order_id}/{kind}", dependencies=[needs])
    def read(order_id: int, kind: Kind) -> int:
        return order_id

    deny(engine, ("resource", "==", "order/7/large"))
    with TestClient(app) as client:
        assert client.get("/orders/8/large").json() == 8
        assert client.get("/orders/7/large").status_code == 403
        assert client.get("/orders/007/large").status_code == 403


def test_bodies_of_every_kind(engine: PolicyEngine, stream: RecordingStream, needs: Any) -> None:
    app = FastAPI()

    @app.post("/two", dependencies=[needs])
    async def two(order: Order, other: Annotated[int, Body()]) -> str:
        return "done"

    @app.post("/form", dependencies=[needs])
    async def form(amount: Annotated[int, Form()], scan: Annotated[UploadFile, File()]) -> str:
        return (await scan.read()).decode()

    @app.post("/maybe", dependencies=[needs])
    async def maybe(order: Annotated[Order | None, Body()] = None) -> str:
        return str(order)

    @app.post("/raw", dependencies=[needs])
    async def raw(request: Request) -> str:
        return (await request.body()).decode()

    @app.post("/nested", dependencies=[needs])
    async def nested(order: Order, more: Annotated[int, Depends(lambda extra=Body(): extra)]) -> str:
        return f"{order.amount} {more}"

    with TestClient(app) as client:
        assert client.post("/two", json={"order": {"amount": 3}, "other": 4}).status_code == 200
        assert decided(stream)["params"] == {"order": {"amount": 3.0, "note": "none"}, "other": 4}
        assert client.post("/form", data={"amount": "5"}, files={"scan": b"pixels"}).json() == "pixels"
        assert decided(stream)["params"]["amount"] == 5
        for content, seen in ((b"", None), (b"null", None), (b'{"amount": 1}', {"amount": 1.0, "note": "none"})):
            answer = client.post("/maybe", content=content, headers={"content-type": "application/json"})
            assert answer.status_code == 200, answer.text
            assert decided(stream)["params"] == {"order": seen}
        assert client.post("/raw", content=b"as it is").json() == "as it is"
        assert client.post("/nested", json={"order": {"amount": 1}, "extra": 2}).json() == "1.0 2"
        assert decided(stream)["params"] == {"order": {"amount": 1.0, "note": "none"}, "extra": 2}


def test_routers_prefixes_and_mounted_applications(engine: PolicyEngine, stream: RecordingStream, needs: Any) -> None:
    app, mounted, router, inner = FastAPI(), FastAPI(), APIRouter(dependencies=[needs]), APIRouter()

    @inner.get("/items/{item}")
    async def read(shop: int, item: int, where: Annotated[Filter, Query()]) -> int:
        return shop * item

    @mounted.get("/items/{item}", dependencies=[needs])
    async def elsewhere(item: int) -> int:
        return item

    router.include_router(inner, prefix="/inner")
    app.include_router(router, prefix="/shops/{shop}")
    app.mount("/mounted", mounted)
    with TestClient(app, root_path="/api") as client:
        assert client.get("/shops/2/inner/items/3?least=4&shop=9").json() == 6
        found = decided(stream)
        assert {name: found["params"][name] for name in ("shop", "item", "where")} == {
            "shop": 2,
            "item": 3,
            "where": {"least": 4},
        }
        for path in ("/shops/2/inner/items/3", "/api/shops/2/inner/items/3"):
            assert client.get(path).json() == 6
            assert decided(stream)["resource"] == "/shops/2/inner/items/3"
        assert client.get("/api/mounted/items/3").json() == 3
        assert decided(stream)["resource"] == "/mounted/items/3"
    with TestClient(app) as client:
        assert client.get("/mounted/items/4").json() == 4
        assert decided(stream)["resource"] == "/mounted/items/4"


def test_web_sockets(engine: PolicyEngine, stream: RecordingStream, needs: Any) -> None:
    app = FastAPI()
    install(app)

    @app.websocket("/live/{room}")
    async def live(socket: WebSocket, room: int, level: int = 1, _: Any = needs) -> None:
        await socket.accept()
        await socket.send_json([room, level])

    @app.websocket("/guarded/{room}")
    @Guard(engine, agent="a1")("listen", params=["room"])
    async def guarded(socket: WebSocket, room: int) -> None:
        await socket.accept()
        await socket.send_json(room)

    deny(engine, ("params.level", ">", 5))
    deny(engine, ("params.room", "==", 13))
    with TestClient(app) as client:
        with client.websocket_connect("/live/7?level=2") as socket:
            assert socket.receive_json() == [7, 2]
        assert decided(stream)["params"] == {"room": 7, "level": 2}
        with client.websocket_connect("/guarded/7") as socket:
            assert socket.receive_json() == 7
        for path in ("/live/7?level=6", "/live/013", "/guarded/13"):
            with pytest.raises(WebSocketDisconnect) as closed, client.websocket_connect(path):
                pass
            assert (closed.value.code, closed.value.reason) == (1008, "Action denied"), path


def test_a_denied_web_socket_without_any_set_up(engine: PolicyEngine) -> None:
    app = FastAPI()
    done = []

    @app.websocket("/guarded/{room}")
    @Guard(engine, agent="a1")("listen", params=["room"])
    async def guarded(socket: WebSocket, room: int) -> None:
        done.append(room)

    deny(engine, ("params.room", "==", 13))
    with TestClient(app) as client:
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/guarded/13"):
            pass
        assert denied.value.status_code == 403
    assert done == []


HOSTS = ("good.example/open?x=", "good.example/open#", "good.example", "[::1]:80")


@pytest.mark.parametrize("host", HOSTS)
def test_the_host_header_does_not_move_the_path(engine: PolicyEngine, needs: Any, host: str) -> None:
    deny(engine, ("resource", "==", "/secret"))
    app = FastAPI()

    @app.get("/secret", dependencies=[needs])
    async def secret() -> str:
        return "secret"

    behind = Starlette(routes=[Route("/secret", lambda request: PlainTextResponse("secret"))])
    shielded = PolicyMiddleware(behind, Guard(engine), agent=lambda connection: ANONYMOUS, exempt=["/open"])
    for guarded in (app, shielded):
        with TestClient(guarded) as client:
            assert client.get("/secret", headers={"host": host}).status_code == 403


def test_the_middleware_sees_texts_and_the_path_that_is_routed_by(
    engine: PolicyEngine, stream: RecordingStream
) -> None:
    app = FastAPI()

    @app.get("/secret")
    async def secret(amount: list[int] = Query()) -> list[int]:
        return amount

    app.add_middleware(PolicyMiddleware, guard=Guard(engine), agent=lambda connection: "a1", exempt=["/open"])
    with TestClient(app, root_path="/api") as client:
        assert client.get("/secret?amount=1&amount=2&one=x").json() == [1, 2]
        assert decided(stream)["params"] == {"amount": ["1", "2"], "one": "x"}
        deny(engine, ("resource", "==", "/secret"))
        for path in ("/secret?amount=1", "/api/secret?amount=1"):
            assert client.get(path).status_code == 403
        assert client.get("/apiary").status_code == 404
        assert decided(stream)["resource"] == "/apiary"


@pytest.mark.parametrize(
    "path", ["/files/secret/x.txt", "/files//secret/x.txt", "/files/%2e/secret/x.txt", "/files/a/%2e%2e/secret%2fx.txt"]
)
def test_a_path_is_decided_on_as_a_server_of_files_reads_it(engine: PolicyEngine, tmp_path: Path, path: str) -> None:
    for name in ("secret", "open"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(name)
    app = FastAPI()
    app.mount("/files", StaticFiles(directory=tmp_path))
    with TestClient(app) as client:
        assert client.get(path).text == "secret"
    app = FastAPI()
    app.add_middleware(PolicyMiddleware, guard=Guard(engine), agent=lambda c: "a1")
    app.mount("/files", StaticFiles(directory=tmp_path))
    deny(engine, ("resource", "matches", "/files/secret"))
    with TestClient(app) as client:
        assert client.get(path).status_code == 403
        assert client.get("/files//open/x.txt").text == "open"


def test_a_path_parameter_is_decided_on_as_it_is_resolved(engine: PolicyEngine, needs: Any) -> None:
    app = FastAPI()

    @app.get("/files/{name:path}", dependencies=[needs])
    def read(name: str) -> str:
        return name

    deny(engine, ("resource", "==", "/files/secret"))
    with TestClient(app) as client:
        assert client.get("/files/%2e/secret").status_code == 403
        assert client.get("/files//secret").status_code == 403
        assert client.get("/files//open").json() == "/open"


def test_the_middleware_round_an_application_knows_its_root_path(engine: PolicyEngine) -> None:
    app = FastAPI()
    app.root_path = "/api"

    @app.get("/admin")
    def admin() -> str:
        return "done"

    deny(engine, ("resource", "==", "/admin"))
    with TestClient(app) as client:
        assert client.get("/api/admin").json() == "done"
    with TestClient(PolicyMiddleware(app, Guard(engine), agent=lambda c: "a1")) as client:
        assert client.get("/api/admin").status_code == 403
        assert client.get("/admin").status_code == 403


def test_a_sender_who_is_not_known_is_refused(engine: PolicyEngine) -> None:
    app = FastAPI()
    guard = Guard(engine, agent="the service itself")

    @app.get("/", dependencies=[Depends(requires(guard, "read", agent=lambda c: c.headers.get("who")))])
    async def read() -> str:
        return "done"

    with TestClient(app) as client:
        assert client.get("/", headers={"who": "a1"}).json() == "done"
        refused = client.get("/")
        assert refused.status_code == 403
        detail = refused.json()["detail"]["detail"]
        assert detail == "the guard does not know who acts: the call names no agent_id", "no remedy of the developer's"


@pytest.mark.parametrize("installed", [True, False])
def test_a_denied_endpoint_is_answered_with_403(engine: PolicyEngine, installed: bool) -> None:
    guard = Guard(engine, agent="a1")
    app = FastAPI()
    if installed:
        install(app)

    @app.get("/sync/{amount}")
    @guard("pay")
    def pay(amount: int) -> int:
        return amount

    @app.get("/async/{amount}")
    @guard("pay")
    async def pay_async(amount: int) -> int:
        return amount

    deny(engine, ("params.amount", ">", 500))
    with TestClient(app) as client:
        for way in ("sync", "async"):
            assert client.get(f"/{way}/5").json() == 5
            denied = client.get(f"/{way}/900")
            assert denied.status_code == 403
            assert denied.json()["detail"].startswith("denied by rule 'deny-0'")
            if installed:
                assert denied.headers["content-type"] == "application/problem+json"
                assert denied.json()["rule_id"] == "deny-0"


def test_a_denied_endpoint_of_starlette_is_answered_with_403(engine: PolicyEngine) -> None:
    @Guard(engine, agent="a1")("pay", params=[])
    async def pay(request: Request) -> PlainTextResponse:
        return PlainTextResponse("paid")

    deny(engine, ("action", "==", "pay"))
    app = Starlette(routes=[Mount("/in", routes=[Route("/pay", pay)])])
    with TestClient(app) as client:
        denied = client.get("/in/pay")
        assert (denied.status_code, denied.text[:21]) == (403, "denied by rule 'deny-")


def test_dependencies_in_which_an_agent_acts(engine: PolicyEngine, stream: RecordingStream) -> None:
    guard = Guard(engine)
    app = FastAPI()

    @guard("work")
    def work() -> str:
        return "done"

    def sync_dependency(request: Request) -> Iterator[None]:
        with acting_as("mallory"):
            yield

    async def async_dependency(request: Request) -> AsyncIterator[None]:
        with acting_as("mallory"):
            yield

    def sync_endpoint() -> str:
        return work()

    async def async_endpoint() -> str:
        return work()

    dependencies = {"sync": sync_dependency, "async": async_dependency, "acting": acting(lambda request: "mallory")}
    for name, dependency in dependencies.items():
        for way, endpoint in (("def", sync_endpoint), ("async-def", async_endpoint)):
            app.add_api_route(f"/{name}/{way}", endpoint, dependencies=[Depends(dependency)])
    with TestClient(app) as client:
        for way in ("def", "async-def"):
            for name in ("async", "acting"):
                assert client.get(f"/{name}/{way}").json() == "done"
                assert decided(stream)["agent_id"] == "mallory"
            refused = client.get(f"/sync/{way}")
            assert refused.status_code == 403
            assert "does not know who acts" in refused.json()["detail"]
        deny(engine, ("agent_id", "==", "mallory"))
        assert [client.get(f"/{name}/def").status_code for name in dependencies] == [403, 403, 403]


def test_names_that_no_request_has_are_named(engine: PolicyEngine) -> None:
    app, guard = FastAPI(), Guard(engine, agent="a1")

    @app.get("/a", dependencies=[Depends(requires(guard, "orders", agent=lambda _: "a1", resource="order/{id}"))])
    @app.get("/b", dependencies=[Depends(requires(guard, "orders", agent=lambda _: "a1", params=["id"]))])
    def read(amount: int = 0) -> None: ...

    with pytest.raises(InvalidInput, match=r"resource: 'order/\{id\}' does not fit the arguments of orders \(amount\)"):
        TestClient(app).get("/a")
    with pytest.raises(InvalidInput, match="params: id is not among the arguments of orders: amount"):
        TestClient(app).get("/b")
