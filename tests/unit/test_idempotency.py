"""Keys of requests: claimed, renewed, answered, forgotten; and what services keep of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from brain import HealthEvent, ImmuneService, PolicyEngine, ThreatService, limits
from brain.charter import HealthKind, HealthSeverity
from brain.errors import Unavailable
from brain.immune.repository import KEYS as HEALTH_KEYS
from brain.kit.http import creates_nothing
from brain.kit.idempotency import request_key
from brain.policy.approvals import KEPT_SECONDS as APPROVALS_KEPT
from brain.policy.approvals import KEYS as APPROVAL_KEYS
from brain.server import problems, request_keys
from brain.server.body import BodyReader
from brain.server.idempotency import Idempotency
from brain.server.paths import Paths, known_paths
from brain.server.request_keys import COLLECTION, KEPT_SECONDS, LEASE, STARTED, Answer, Busy, Claim, OtherContent
from brain.server.request_keys import RequestKeys as Keys
from brain.store import DocumentChange, Written
from brain.store.memory import MemoryStore
from support.clock import Clock
from support.waiting import until

ANSWER = Answer(201, [(b"location", b"/x")], b"{}")


def claimed(keys: Keys, id: str, content: str = "one") -> Claim:
    found = keys.begin(id, content)
    assert isinstance(found, Claim), found
    return found


def test_a_key_is_held_by_one_and_then_answered() -> None:
    clock, store = Clock(), MemoryStore()
    keys, node = Keys(store, clock), Keys(store, clock)
    claim = claimed(keys, "a")
    assert node.begin("a", "one") == Busy()
    assert node.begin("a", "two") == OtherContent()
    keys.finish(claim, ANSWER)
    assert node.begin("a", "one") == ANSWER
    assert node.begin("a", "two") == OtherContent()
    clock.advance(KEPT_SECONDS - 1)
    assert node.begin("a", "one") == ANSWER
    keys.sweep()
    assert node.begin("a", "one") == ANSWER
    clock.advance(2)
    keys.sweep()
    claimed(node, "a", "two")


def test_the_key_of_a_killed_server_is_taken_over() -> None:
    clock, store = Clock(), MemoryStore()
    dead, alive = Keys(store, clock), Keys(store, clock)
    lost = claimed(dead, "a")
    clock.advance(LEASE + 0.1)
    assert alive.begin("a", "two") == OtherContent()
    claim = claimed(alive, "a")
    dead.finish(lost, Answer(500, [], b""))  # it was only frozen
    dead.release(lost)
    alive.finish(claim, ANSWER)
    assert dead.begin("a", "one") == ANSWER


def test_a_clock_that_was_wrong_blocks_no_key() -> None:
    clock, store = Clock(), MemoryStore()
    keys = Keys(store, clock)
    clock.advance(365 * 86_400)
    claimed(keys, "a")
    clock.advance(-365 * 86_400)
    claimed(keys, "a")


def test_a_released_key_is_free_at_once() -> None:
    store = MemoryStore()
    keys = Keys(store, Clock())
    keys.release(claimed(keys, "a"))
    assert (store.scan(COLLECTION), store.scan(STARTED)) == ([], [])
    claimed(keys, "a", "two")


def test_a_record_of_a_newer_version_is_replaced() -> None:
    store = MemoryStore()
    keys = Keys(store, Clock())
    store.put(COLLECTION, "a", b"\xc1")
    keys.finish(claimed(keys, "a"), ANSWER)
    assert keys.begin("a", "one") == ANSWER


def test_old_keys_are_forgotten() -> None:
    clock, store = Clock(), MemoryStore()
    keys = Keys(store, clock)
    for number in range(1_200):
        keys.finish(claimed(keys, f"old{number}"), ANSWER)
    claimed(keys, "again")
    clock.advance(KEPT_SECONDS + 1)
    keys.finish(claimed(keys, "again"), ANSWER)
    claimed(keys, "new")
    keys.sweep()
    assert [document.key for document in store.scan(COLLECTION)] == ["again", "new"]
    assert len(store.scan(STARTED)) == 2


@pytest.mark.parametrize(("bound", "most"), [("REQUEST_KEYS", 3), ("REQUEST_KEYS_BYTES", 400)])
def test_beyond_the_bounds_the_oldest_are_dropped(bound: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, store = Clock(), MemoryStore()
    keys = Keys(store, clock)
    for number in range(8):
        keys.finish(claimed(keys, f"k{number}"), ANSWER)
        clock.advance(1)
    monkeypatch.setattr(limits, bound, most)
    keys.sweep()
    kept = [document.key for document in store.scan(COLLECTION)]
    assert 0 < len(kept) == len(store.scan(STARTED)) <= 4
    assert kept == [f"k{number}" for number in range(8 - len(kept), 8)]
    assert keys.dropped == 8 - len(kept)


async def test_a_claim_is_renewed_while_its_request_is_carried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_keys, "LEASE", 0.05)
    clock, store = Clock(), MemoryStore()
    keys = Keys(store, clock)
    async with keys.held(claimed(keys, "a")) as held:
        first = held()
        await until(lambda: held().version >= first.version + 3)
    keys.finish(held(), ANSWER)
    assert keys.begin("a", "one") == ANSWER


# The middleware, over routes such as another package's


class Deaf(MemoryStore):
    """A store that does not answer when `deaf` is set."""

    deaf = False

    def write(self, changes: Sequence[DocumentChange], joins: Any = {}) -> Written:  # noqa: B006
        if self.deaf:
            raise Unavailable("the store does not answer")
        return super().write(changes, joins)


class Served:
    """An application with one creating route."""

    def __init__(self) -> None:
        self.store = Deaf()
        self.made: list[str | None] = []
        self.act: Callable[[], object] = lambda: {"made": len(self.made)}
        app = FastAPI()

        @app.post("/api/things", status_code=201)
        def make(new: dict[str, Any]) -> object:
            self.made.append(request_key())
            return self.act()

        @app.post("/api/questions", openapi_extra=creates_nothing("it only reads"))
        def ask(new: dict[str, Any]) -> object:
            return request_key()

        paths = Paths(lambda path: known_paths(app.openapi()))
        problems.install(app, paths.methods)
        app.add_middleware(Idempotency, keys=Keys(self.store), paths=paths)
        app.add_middleware(BodyReader, limit=1000, paths=paths)
        app.add_middleware(problems.LastResort)
        self.client = TestClient(app, raise_server_exceptions=False)

    def post(self, path: str = "/api/things", body: object = {}, **headers: str) -> Any:
        return self.client.post(path, json=body, headers={"Idempotency-Key": "k", **headers})


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    with served.client:
        yield served


def test_routes_of_others_take_keys_without_doing_anything(served: Served) -> None:
    first, again = served.post(), served.post()
    assert (first.json(), again.json(), len(served.made)) == ({"made": 1}, {"made": 1}, 1)
    assert served.made[0] is not None
    assert again.headers["Idempotent-Replayed"] == "true"
    assert served.post(body={"a": 1}).status_code == 422
    assert served.post(path="/api/things?by=ann").status_code == 422
    assert served.client.post("/api/things", json={}).json() == {"made": 2}
    assert served.made[1] is None


def test_a_post_that_creates_nothing_and_a_path_that_is_none_take_no_key(served: Served) -> None:
    assert served.post("/api/questions").json() is None
    assert served.post("/api/nothing").status_code == 404
    assert len(served.store.scan(COLLECTION)) == 0


def test_after_a_failure_the_request_is_carried_out_again_with_the_same_key(served: Served) -> None:
    def fail() -> object:
        raise OSError("broken")

    right, served.act = served.act, fail
    assert served.post().status_code == 500
    served.act = right
    answer = served.post()
    assert (answer.status_code, answer.json()) == (201, {"made": 2})
    assert served.made[0] == served.made[1] is not None


def test_an_answer_that_is_too_large_is_made_anew(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_ANSWER", 5)
    assert [served.post().json() for _ in range(2)] == [{"made": 1}, {"made": 2}]


def test_a_store_that_does_not_answer_is_unavailable_and_loses_no_answer(served: Served) -> None:
    served.store.deaf = True
    refused = served.post()
    assert (refused.status_code, refused.headers["Retry-After"], served.made) == (503, "1", [])
    served.store.deaf = False

    def goes_away() -> object:
        served.store.deaf = True
        return {"made": "it"}

    served.act = goes_away
    assert served.post().json() == {"made": "it"}


# What services keep of keys


def report() -> HealthEvent:
    return HealthEvent(HealthSeverity.WARNING, HealthKind.ERROR_SPIKE, "m", "x")


async def test_of_calls_at_once_with_one_key_one_creates() -> None:
    store = MemoryStore()
    threats = [ThreatService(store=store) for _ in range(4)]
    immune = [ImmuneService(store=store) for _ in range(4)]
    made = await asyncio.gather(*(one.create_threat("t", "s", key="k") for one in threats))
    numbers = await asyncio.gather(*(one.publish_event(report(), key="k") for one in immune))
    assert (len({one.id for one in made}), len(set(numbers))) == (1, 1)
    assert len(immune[0].get_recent_events()) == 1


async def test_one_key_for_two_kinds_of_things_makes_both() -> None:
    store = MemoryStore()
    threat = await ThreatService(store=store).create_threat("t", "s", key="k")
    assert await ImmuneService(store=store).publish_event(report(), key="k") == 1
    assert await ThreatService(store=store).get_threat(threat.id) == threat


async def test_a_threat_that_has_moved_is_found_by_its_key() -> None:
    threats = ThreatService()
    made = await threats.create_threat("t", "s", metadata={"a": [1], "b": 2}, key="k")
    moved = await threats.update_threat_status(made.id, "MITIGATED")
    assert await threats.create_threat("t", "s", metadata={"b": 2, "a": [1]}, key="k") == moved


async def test_the_keys_of_health_events_go_with_them() -> None:
    store = MemoryStore()
    for number in range(30):
        service = ImmuneService(store=store, keep=10)  # the first event of each sweeps
        await service.publish_event(report(), key=f"k{number}")
    assert len(store.scan(HEALTH_KEYS)) == 10


def test_the_keys_of_approvals_go_with_them() -> None:
    clock, store = Clock(), MemoryStore()
    context = {"agent_id": "a", "action": "pay"}
    with PolicyEngine(store=store, clock=clock, follow_interval=None) as engine:
        engine.approvals.request(engine.preview(context), context, key="old")
        engine.tick()
        clock.advance(APPROVALS_KEPT)
        engine.tick()
        clock.advance(1)
        new = engine.approvals.request(engine.preview(context), context, key="new")
        engine.tick()
        assert len(store.scan(APPROVAL_KEYS)) == 1
        assert engine.approvals.request(engine.preview(context), context, key="new") == new
