"""A store that comes back with less than a running process knows: nothing known is given up, in any store."""

from __future__ import annotations

from typing import Any

import pytest

from brain.errors import Unavailable
from brain.policy import Condition, PolicyEngine, Rule
from brain.store import Document, DocumentChange, Store, open_store
from brain.store.mirror import Look, Mirror, Restoration
from brain.testing import RecordingStream
from brain.threats import ThreatService
from support.clock import Clock
from support.rewinding import empty, keep

all_stores = pytest.mark.parametrize("url", ["memory", "sqlite", "redis"], indirect=True)


def rule(rule_id: str, effect: str = "ALLOW", **more: Any) -> Rule:
    return Rule(id=rule_id, name=rule_id, effect=effect, conditions=[Condition("action", "==", rule_id)], **more)


def engine_on(store: Store, stream: RecordingStream | None = None) -> PolicyEngine:
    return PolicyEngine(stream, store=store, clock=Clock(), follow_interval=None)


def allowed(engine: PolicyEngine, **context: str) -> bool:
    return engine.evaluate(context).allowed


@all_stores
def test_a_mirror_knows_what_is_new(store: Store) -> None:
    mirror = Mirror(store, "c")
    assert mirror.look() is None
    store.put("c", "a", b"1")
    assert mirror.look() == Look({"a": Document("a", 1, b"1")}, [])
    assert mirror.look() is None
    changes = [DocumentChange("c", "b", b"2"), DocumentChange("d", "b", b"3")]
    written = store.write(changes)
    mirror.wrote(changes, written)
    assert mirror.look() is None
    store.delete("c", "a")
    assert mirror.look() == Look({}, ["a"])
    assert mirror.documents == {"b": Document("b", 1, b"2")}
    assert (mirror.losses, mirror.beside) == (0, None)


@all_stores
def test_an_older_copy_is_given_back_what_it_lost(store: Store, url: str) -> None:
    for key in ("changed", "deleted", "same"):
        store.put("c", key, b"old")
    rewind = keep(url, store)
    seen: list[Restoration] = []
    mirror, late = Mirror(store, "c", restored=seen.append), Mirror(store, "c")
    late.look()
    store.put("c", "changed", b"new")
    store.delete("c", "deleted")
    store.put("c", "added", b"new")
    mirror.look()
    known = dict(mirror.documents)
    fresh = Mirror(store, "c")
    fresh.look()
    rewind()
    store.put("c", "stranger", b"by one who knows nothing")
    assert mirror.look() == Look({"stranger": Document("stranger", 1, b"by one who knows nothing")}, [])
    assert {one.key: one for one in store.scan("c")} == mirror.documents
    assert {key: one.data for key, one in mirror.documents.items() if key != "stranger"} == {
        key: one.data for key, one in known.items()
    }
    ((back, gone, _),) = seen
    assert (sorted(back), list(gone)) == (["added", "changed"], ["deleted"])
    for other in (fresh, late, mirror):  # who knew some revision of the lost line goes on from there
        other.look()
        assert other.documents == mirror.documents
    assert (mirror.losses, fresh.losses, late.losses) == (1, 0, 0)


@all_stores
@pytest.mark.parametrize("first", ["knows more", "knows less"])
def test_of_two_that_write_back_the_one_that_knows_more_has_the_last_word(store: Store, url: str, first: str) -> None:
    store.put("c", "deny", b"v1")
    store.put("c", "allow", b"v1")
    rewind = keep(url, store)
    store.put("c", "deny", b"v2")
    less, more = Mirror(store, "c"), Mirror(store, "c")
    less.look()
    more.look()
    store.put("c", "deny", b"v3")
    store.delete("c", "allow")
    more.look()
    rewind()
    for mirror in (more, less, more) if first == "knows more" else (less, more, less):
        mirror.look()
    assert [(one.key, one.data) for one in store.scan("c")] == [("deny", b"v3")]
    assert less.documents == more.documents


@all_stores
def test_everything_is_written_back_to_an_empty_store(store: Store, url: str) -> None:
    mirror = Mirror(store, "c")
    store.write([DocumentChange("c", f"{number:04d}", b"x") for number in range(700)])
    mirror.look()
    empty(url, store)
    store.put("c", "new", b"")
    mirror.look()
    assert len(store.scan("c")) == len(mirror.documents) == 701


@all_stores
def test_a_mirror_with_a_limit_writes_back_what_it_remembers(store: Store, url: str) -> None:
    mirror = Mirror(store, "c", limit=3)
    mirror.look()
    for key in "abcde":
        store.put("c", key, key.encode())
        mirror.look()
    assert list(mirror.documents) == ["c", "d", "e"]
    rewind = keep(url, store)
    store.put("c", "f", b"f")
    mirror.look()
    rewind()
    mirror.look()
    assert [one.key for one in store.scan("c")] == list("abcdef")


@all_stores
def test_no_denial_becomes_permission(store: Store, url: str) -> None:
    stream = RecordingStream()
    with engine_on(store, stream) as engine:
        engine.import_rules([rule("pay"), rule("read"), rule("gone")])
        rewind = keep(url, store)
        no_pay = [Condition("action", "==", "pay")]
        engine.add_rule(Rule(id="no-pay", name="n", effect="DENY", priority=5, conditions=no_pay))
        engine.delete_rule("gone")
        engine.contain("a1", ttl=3600, reason="leaked token")
        for lose in (rewind, lambda: empty(url, store)):
            lose()
            engine.refresh()
            for each in (engine, engine_on(store)):
                assert not allowed(each, agent_id="x", action="pay")
                assert not allowed(each, agent_id="x", action="gone")
                assert not allowed(each, agent_id="a1", action="read")
                assert allowed(each, agent_id="x", action="read")
                assert [one.id for one in each.containments()] == ["containment:a1"]
        assert engine.losses == 4
        restored = stream.get_events_by_type("policy.store_restored")
        assert [event.payload["collection"] for event in restored] == ["policy.measures", "policy.rules"] * 2
        assert restored[1].payload["ids"] == ["no-pay", "gone"]
        note = "the store had lost this; written back"
        assert [one.note for one in (*engine.versions(1), *engine.measures(1))] == [note, note]
        assert engine.rules_at(engine.versions(1)[0].version - 1) != engine.rules_at(engine.versions(1)[0].version)


@pytest.mark.parametrize("url", ["redis"], indirect=True)
def test_the_stricter_holds_until_the_store_takes_it_back(store: Store, url: str) -> None:
    import redis

    with engine_on(store) as engine, redis.Redis.from_url(url) as client:
        engine.import_rules([rule("pay"), rule("read")])
        rewind = keep(url, store)
        engine.update_rule("pay", effect="DENY")
        engine.contain("a1", ttl=3600, reason="r")
        rewind()
        other = open_store(url)
        other.put("policy.rules", "read", b'{"id": "read", "name": "r", "effect": "DENY"}')
        other.close()
        client.config_set("min-replicas-to-write", 1)
        try:
            for _ in range(2):
                with pytest.raises(Unavailable):
                    engine.refresh()
                assert not allowed(engine, agent_id="a1", action="read")
                assert not allowed(engine, action="pay"), "denied by what is known here"
                engine._repository.mirror._retry_at = 0
                with pytest.raises(Unavailable):
                    engine._repository.refresh()
                assert not allowed(engine, action="read"), "denied by what the store has"
                engine._measures._repository.mirror._retry_at = 0
        finally:
            client.config_set("min-replicas-to-write", 0)
        engine._repository.mirror._retry_at = engine._measures._repository.mirror._retry_at = 0
        engine.refresh()
        assert (engine._repository.mirror.beside, engine._measures._repository.mirror.beside) == (None, None)
        again = engine_on(store)
        for each in (engine, again):
            assert not allowed(each, action="pay")
            assert not allowed(each, action="read")
            assert [one.id for one in each.containments()] == ["containment:a1"]


@all_stores
async def test_threats_and_their_moves_are_there_afterwards(store: Store, url: str) -> None:
    stream = RecordingStream()
    service = ThreatService(stream, store)
    old = await service.create_threat("t", "1.2.3.4")
    rewind = keep(url, store)
    await service.update_threat_status(old.id, "ESCALATED", "why")
    new = await service.create_threat("t", "5.6.7.8")
    for lose in (rewind, lambda: empty(url, store)):
        lose()
        await service.refresh()
        again = ThreatService(store=store)
        for each in (service, again):
            assert (await each.get_threat(old.id)).status == "ESCALATED"
            assert await each.get_threat(new.id) == new
    assert service.losses == 2
    restored = stream.get_events_by_type("threat.store_restored")
    assert sorted(restored[0].payload["ids"]) == sorted([old.id, new.id])
