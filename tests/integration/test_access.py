"""Keys, roles and principals over real HTTP: every route with every role, and keys that are over."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from typer.testing import CliRunner

from brain import Event, Principal, acting
from brain.access.commands import app as commands
from brain.access.models import Role
from brain.access.repository import Keys
from brain.audit.models import AuditEntry
from brain.audit.search import AuditQuery
from brain.errors import Conflict, Forbidden, InvalidInput, NotFound
from brain.policy import PolicyEngine
from brain.server.actions import ACTIONS
from brain.server.app import create_app
from brain.server.known_keys import KnownKeys
from brain.store import Store, open_store
from brain.store.memory import MemoryStore
from brain.stream import EventStream
from brain.testing import RecordingStream
from support.clock import Clock
from support.server import without_consumers
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAY = {
    "viewer": {"brain.self", "brain.read", "brain.metrics"},
    "operator": {
        "brain.self",
        "brain.read",
        "brain.metrics",
        "brain.evaluate",
        "brain.report",
        "brain.operate",
        "brain.contain",
    },
    "approver": {"brain.self", "brain.read", "brain.metrics", "brain.approve"},
    "admin": set(ACTIONS.values()),
    "evaluator": {"brain.self", "brain.evaluate"},
    "reporter": {"brain.self", "brain.report"},
    "metrics": {"brain.self", "brain.metrics"},
}
"""The promise: what each role may do."""
ADMIN = "an-administrators-key-of-the-settings"


class Served(NamedTuple):
    """A server with one key of each role."""

    client: httpx.AsyncClient
    stream: EventStream
    store: Store
    secrets: dict[str, str]
    document: dict[str, Any]

    async def ask(self, key: str, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, headers={"Authorization": f"Bearer {key}"}, **more)

    async def events(self, pattern: str) -> list[dict[str, Any]]:
        """All of them, from the first; more than one page has."""
        await asyncio.to_thread(self.stream.flush)
        return [event.to_dict() async for event in self.stream.replay(pattern)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[Served]:
    store = open_store("memory://")
    async with EventStream.open("memory://") as stream:
        keys = Keys(store, None)
        secrets = {role: keys.new(role, role, agents=["a1"] if role == "evaluator" else []).secret for role in Role}
        app = create_app(stream, store, without_consumers(api_key=SecretStr(ADMIN)))
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            document = (await client.get("/openapi.json", headers={"Authorization": f"Bearer {ADMIN}"})).json()
            yield Served(client, stream, store, secrets, document)


async def test_every_route_has_an_entry(served: Served) -> None:
    routes = {f"{method.upper()} {path}" for path, of in served.document["paths"].items() for method in of}
    missing = sorted(routes - ACTIONS.keys())
    assert not missing, f"add to _ROUTES in src/brain/server/actions.py, below the action that each needs: {missing}"
    assert ACTIONS.keys() - routes == {"GET /openapi.json", "POST /logout"}, "the table names routes that are gone"


async def test_every_route_with_every_role(served: Served) -> None:
    for route, action in ACTIONS.items():
        method, template = route.split()
        operation = served.document["paths"].get(template, {}).get(method.lower(), {})
        path = re.sub(r"\{\w+\}", "1", template)
        for role, may in MAY.items():
            # What is let in does nothing: its body is no JSON, or its query names what is not there.
            more = {"params": {"no_such": "1"}} if method == "GET" else {"content": b"{", "params": {"no_such": "1"}}
            answer = await served.ask(served.secrets[role], method, path, **more)
            allowed = action in may or "x-signed" in operation
            assert (answer.status_code not in (401, 403)) == allowed, f"{role} {route}: {answer.status_code}"
            if not allowed:
                assert answer.json()["title"] == "Forbidden"
                assert action in answer.json()["detail"]


async def test_ids_with_slashes_need_what_others_need(served: Served) -> None:
    """`{id:path}` takes slashes, and the document, by which actions are found, has `{id}` for that."""
    for route, action in ACTIONS.items():
        method, template = route.split()
        if method != "GET" and template.endswith("}"):
            path = re.sub(r"\{\w+\}", "team/1", template)
            for role, may in MAY.items():
                more = {"content": b"{", "params": {"no_such": "1"}}
                answer = await served.ask(served.secrets[role], method, path, **more)
                assert action in may or answer.status_code == 403, f"{role} {method} {path}: {answer.status_code}"


async def test_an_evaluator_asks_for_its_own_agents_alone(served: Served) -> None:
    key = served.secrets["evaluator"]
    mine, other = ({"agent_id": name, "action": "read"} for name in ("a1", "a2"))
    assert (await served.ask(key, "POST", "/api/policy/evaluate", json=mine)).status_code == 200
    assert (await served.ask(key, "POST", "/api/policy/evaluate-many", json={"contexts": [mine]})).status_code == 200
    before = len(await served.events("access.request_refused"))
    for path, body in (
        ("evaluate", other),
        ("evaluate", {"action": "read"}),
        ("evaluate", {"agent": {"id": "a2"}, "agent_id": "a1", "action": "read"}),
        ("evaluate-many", {"contexts": [mine, other]}),
        ("allowed-actions", {"agent": {"agent_id": "a2"}, "actions": ["read"]}),
        ("explain", other),
    ):
        assert (await served.ask(key, "POST", f"/api/policy/{path}", json=body)).status_code == 403, path
    refused = (await served.events("access.request_refused"))[before:]
    assert [one["meta"]["principal"]["name"] for one in refused] == ["evaluator"] * 6
    decided = await served.events("policy.rule_evaluated")
    assert {one["payload"]["agent_id"] for one in decided} == {"a1"}
    principal = decided[-1]["meta"]["principal"]
    assert principal == {"kind": "agent", "name": "evaluator", "how": "key", "address": "127.0.0.1"}


async def test_keys_that_are_over_are_refused_each_with_one_event(served: Served) -> None:
    clock = Clock(1000.0)  # long ago
    old = Keys(served.store, None, clock)
    secrets = [old.new(f"old{number}", "admin", lifetime=60.0).secret for number in range(50)]
    keys = Keys(served.store, None)
    for number in range(50):
        secrets.append(keys.new(f"gone{number}", "admin").secret)
        keys.revoke(f"gone{number}")
    before = len(await served.events("access.request_refused"))
    answers = [await served.ask(key, "GET", "/api/threats") for key in secrets]
    assert {answer.status_code for answer in answers} == {401}
    assert answers[0].json()["detail"].startswith("the key old0 is expired")
    refused = (await served.events("access.request_refused"))[before:]
    assert [one["meta"]["principal"]["name"] for one in refused] == [f"old{n}" for n in range(50)] + [
        f"gone{n}" for n in range(50)
    ]
    assert {one["meta"]["principal"]["how"] for one in refused} == {"expired key", "revoked key"}


async def test_keys_are_made_rotated_and_revoked_over_http(served: Served) -> None:
    wanted = {"name": "ada", "role": "viewer", "kind": "person", "owner": "ada@example.org"}
    made = await served.ask(ADMIN, "POST", "/api/access/keys", json=wanted)
    assert (made.status_code, made.json()["owner"]) == (201, "ada@example.org")
    first = made.json()["key"]
    assert (await served.ask(first, "GET", "/api/access/me")).json() == {
        "kind": "person",
        "name": "ada",
        "how": "key",
        "address": "127.0.0.1",
        "role": "viewer",
        "owner": "ada@example.org",
    }
    rotated = await served.ask(ADMIN, "POST", "/api/access/keys/ada/rotate", json={"overlap": 60, "owner": "ada@b.org"})
    second = rotated.json()["key"]

    async def has_owner() -> bool:
        return bool((await served.ask(first, "GET", "/api/access/me")).json().get("owner") == "ada@b.org")

    await until(has_owner)
    for key in (first, second):
        assert (await served.ask(key, "GET", "/api/access/me")).status_code == 200
    session = (await served.client.post("/login", data={"key": second})).cookies["brain_session"]
    served.client.cookies.clear()
    cookie = {"Cookie": f"brain_session={session}"}
    assert (await served.client.get("/api/access/me", headers=cookie)).json()["how"] == "session"
    listed = (await served.ask(ADMIN, "GET", "/api/access/keys")).text
    assert first not in listed
    assert second not in listed
    assert (await served.ask(ADMIN, "DELETE", "/api/access/keys/ada")).json()["revoked_at"] is not None

    async def over() -> bool:
        return (await served.ask(second, "GET", "/api/access/me")).status_code == 401

    await until(over)
    assert (await served.client.get("/api/access/me", headers=cookie)).status_code == 401
    types = ("access.key_created", "access.key_rotated", "access.key_revoked")
    assert [[one["meta"]["principal"]["name"] for one in await served.events(name)] for name in types] == [
        ["BRAIN_API_KEY"]
    ] * 3
    assert [one["payload"]["owner"] for one in await served.events("access.key_created")] == ["ada@example.org"]
    assert [one["payload"]["owner"] for one in await served.events("access.key_rotated")] == ["ada@b.org"]


async def test_bad_keys_are_refused_by_field() -> None:
    keys = Keys(open_store("memory://"), None)
    for name, role, agents, lifetime, field in (
        ("", "viewer", [], None, "name"),
        ("x", "king", [], None, "role"),
        ("x", "evaluator", [], None, "agents"),
        ("x", "viewer", ["a"], None, "agents"),
        ("x", "viewer", [], -1.0, "lifetime"),
    ):
        with pytest.raises(InvalidInput, match=f"^{field}:"):
            keys.new(name, role, agents=agents, lifetime=lifetime)
    for owner in ("", " ada", "a" * 201, "ada\n", "anonymous"):
        with pytest.raises(InvalidInput, match=r"^owner:"):
            keys.new("x", "viewer", owner=owner)
    keys.new("x", "viewer", owner="ada")
    with pytest.raises(InvalidInput, match=r"^owner:"):
        keys.rotate("x", owner=" ada")
    assert (keys.rotate("x").key.owner, keys.rotate("x", owner="bob").key.owner) == ("ada", "bob")
    with pytest.raises(Conflict, match="exists"):
        keys.new("x", "admin")
    keys.revoke("x")
    with pytest.raises(Conflict, match="revoked"):
        keys.rotate("x")
    with pytest.raises(NotFound):
        keys.revoke("y")


async def test_whoever_asked_for_an_approval_cannot_grant_it() -> None:
    store = MemoryStore()
    stream = RecordingStream()
    engine = PolicyEngine(stream, store=store, follow_interval=None)
    context = {"agent_id": "a1", "action": "pay"}
    with acting(Principal(name="ada", kind="person", how="key")):
        asked = engine.approvals.request(engine.evaluate(context), context)
    for name in ("ada", "a1"):
        with acting(Principal(name=name, how="key")), pytest.raises(Forbidden, match="another one"):
            engine.approvals.grant(asked.id, by="bob")
    with acting(Principal(name="eve", kind="person", how="key")):
        assert engine.approvals.grant(asked.id, by="bob").answered_by == "eve"
    event = stream.get_events_by_type("policy.approval_granted")[0]
    assert (event.meta["principal"]["name"], event.meta["on_behalf_of"]) == ("eve", "bob")


async def test_the_page_of_keys_runs_as_printed(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "identity.md").read_text()
    exec(compile(re.findall(r"```python\n(.*?)```", page, re.S)[0], "identity.md", "exec"), {})
    for line in re.findall(r"```sh\n(.*?)```", page, re.S)[0].splitlines():
        result = await asyncio.to_thread(
            CliRunner().invoke,
            commands,
            [*line.split()[2:], *(() if line.endswith("roles") else ("--stream", f"sqlite:///{tmp_path}/b.db"))],
        )
        assert result.exit_code == 0, (line, result.output)


async def test_a_name_given_as_by_is_kept_as_on_behalf_of_and_found_in_the_log(tmp_path: Path) -> None:
    from brain.kit.doer import doer

    stream = RecordingStream()
    engine = PolicyEngine(stream, follow_interval=None)
    with acting(Principal(name="ada", kind="person", how="key")):
        engine.contain("a1", ttl=60, reason="test", by=doer("bob"))
        assert doer(None) == "ada"
    event = stream.get_events_by_type("policy.rule_created")[0]
    assert (event.meta["principal"]["name"], event.meta["on_behalf_of"]) == ("ada", "bob")
    with acting(Principal(name="BRAIN_API_KEY", kind="service", how="key")):
        assert doer("bob") == "bob", "a team may share it"
    assert doer("bob") == "bob"
    assert "on_behalf_of" not in stream_meta()

    def entry(index: int, meta: dict[str, Any]) -> AuditEntry:
        data = stream_event(meta).encode()
        return AuditEntry(index, b"", 1.0, 1.0, "a.b", "e", None, None, None, data)

    entries = [entry(0, dict(event.meta)), entry(1, {"principal": {"name": "eve"}}), entry(2, {})]
    found = {
        name: [one.index for one in entries if AuditQuery(principal=name).fits_bytes(one)]
        for name in ("ada", "bob", "eve", "nobody", None)
    }
    assert found == {"ada": [0], "bob": [0], "eve": [1], "nobody": [], None: [0, 1, 2]}


def stream_meta() -> Mapping[str, Any]:
    return Event(type="a.b", source="policy_service", payload={}).meta


def stream_event(meta: dict[str, Any]) -> Event:
    return Event(type="a.b", source="policy_service", payload={}, meta=meta)


async def test_the_last_use_of_a_key_is_written_once_a_minute() -> None:
    clock, store = Clock(1000.0), MemoryStore()
    keys = Keys(store, None, clock)
    secret = keys.new("ci", "viewer").secret
    known = KnownKeys(store, None, clock)
    known.refresh()
    _, key = await known.token(secret)
    assert key is not None
    seen = []
    for seconds in (0, 10, 49, 2):
        clock.advance(seconds)
        known.uses.note(key.use)
        known.refresh()
        seen.append(keys.last_uses()["ci"])
    assert seen == [1000.0, 1000.0, 1000.0, 1061.0]
