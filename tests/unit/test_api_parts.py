"""The parts of the API, each made at the first request for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from types import ModuleType

import httpx
import pytest
from fastapi import APIRouter
from starlette.applications import Starlette

from brain.plugins import Routes
from brain.server import problems
from brain.server.api import Api, PreparesApi, ServesApi
from brain.server.paths import KnownPath, Paths

MODULE = "routes_of_a_test"


class Made:
    """Routers of a module that does not exist otherwise, and the parts that were made, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts: list[str] = []
        module = ModuleType(MODULE)
        module.__dict__["router"] = self._router
        monkeypatch.setitem(sys.modules, MODULE, module)

    def _router(self, name: str) -> APIRouter:
        if name == "broken":
            raise RuntimeError("this module has a fault")
        self.parts.append(name)
        return router_of(name)

    def routes(self, name: str) -> Routes:
        return Routes((f"/{name}",), f"{MODULE}:router", (name,))


def router_of(name: str) -> APIRouter:
    router = APIRouter(prefix=f"/{name}", tags=[name])

    @router.get("", summary=f"List {name}")
    async def listing(limit: int = 1) -> list[str]:
        return [name] * limit

    @router.post("/{id}", summary=f"Change one of {name}")
    async def change(id: str) -> str:
        return id

    return router


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    return Made(monkeypatch)


def api_of(*parts: Routes | APIRouter) -> Api:
    api = Api(with_key=False)
    for part in parts:
        api.add(part)
    return api


def client_of(api: Api) -> httpx.AsyncClient:
    app = Starlette()
    problems.install(app, Paths(api.known).methods)
    app.add_middleware(ServesApi, api=api)
    app.add_middleware(PreparesApi, api=api)
    app.add_middleware(problems.LastResort)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def test_a_part_is_made_once_by_the_first_requests_for_it(made: Made) -> None:
    async with client_of(api_of(made.routes("birds"), made.routes("fish"))) as client:
        answers = await asyncio.gather(*(client.get("/api/fish", params={"limit": 2}) for _ in range(5)))
        assert [answer.json() for answer in answers] == [["fish", "fish"]] * 5
        assert made.parts == ["fish"]
        assert (await client.post("/api/birds/7")).json() == "7"
        assert (await client.get("/api/birdsong")).status_code == 404
        assert made.parts == ["fish", "birds"]


async def test_the_document_is_the_same_whatever_was_made_before(made: Made) -> None:
    names = ("birds", "fish", "trees")
    async with client_of(api_of(*map(made.routes, names))) as client:
        whole = (await client.get("/openapi.json")).text
    async with client_of(api_of(*map(made.routes, names))) as client:
        for name in ("trees", "birds"):
            await client.get(f"/api/{name}")
        assert (await client.get("/openapi.json")).text == whole
        assert (await client.get("/api/fish")).status_code == 200
    assert made.parts == [*names, "trees", "birds", "fish"]


async def test_paths_of_a_part_are_known_once_it_is_prepared(made: Made) -> None:
    api = api_of(made.routes("birds"), made.routes("fish"))
    paths = Paths(api.known)
    assert paths.methods("/api/fish/7") == frozenset()
    await api.prepare("/api/fish/7")
    assert paths.methods("/api/fish/7") == {"POST"}
    assert paths.takes_key("/api/fish/7")
    assert made.parts == ["fish"]
    async with client_of(api) as client:
        answer = await client.put("/api/birds")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


async def test_the_action_of_a_request_is_looked_up_once(made: Made) -> None:
    api = api_of(made.routes("birds"))
    await api.prepare("/api/birds/7")
    asked: list[str] = []

    def known(path: str) -> Iterable[KnownPath]:
        asked.append(path)
        return api.known(path)

    paths = Paths(known)
    scope = {"type": "http", "method": "POST", "path": "/api/birds/7"}
    assert paths.action_of(scope) == paths.action("POST", "/api/birds/7")
    looked = len(asked)
    assert paths.action_of(scope) == paths.action_of({"type": "http", **scope})
    assert len(asked) == looked


async def test_a_router_that_is_there_already_is_served_too(made: Made) -> None:
    async with client_of(api_of(made.routes("birds"), router_of("stones"))) as client:
        assert (await client.get("/api/stones")).json() == ["stones"]
        assert made.parts == []
        assert [*(await client.get("/openapi.json")).json()["paths"]][::2] == ["/api/birds", "/api/stones"]


async def test_a_part_that_cannot_be_made_fails_its_own_requests_alone(made: Made) -> None:
    async with client_of(api_of(made.routes("broken"), made.routes("fish"))) as client:
        answer = await client.get("/api/broken")
        assert answer.status_code == 500
        assert "its log has the cause under reference" in answer.json()["detail"]
        assert (await client.get("/api/fish")).json() == ["fish"]
        assert [*(await client.get("/openapi.json")).json()["paths"]] == ["/api/fish", "/api/fish/{id}"]
        assert (await client.get("/api/broken")).status_code == 500


async def test_a_broken_part_on_the_paths_of_another_leaves_those_to_it(
    made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    claims_fish = Routes(("/fish",), f"{MODULE}:router", ("broken",))
    async with client_of(api_of(made.routes("fish"), claims_fish)) as client:
        assert (await client.get("/api/fish")).json() == ["fish"]
        assert (await client.get("/api/fish")).json() == ["fish"]
        assert (await client.get("/openapi.json")).status_code == 200
    assert caplog.text.count("routes are left out; their plug-in must be mended") == 1
