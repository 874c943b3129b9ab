"""Measures are apart from the rules in every store: reserved, in force whatever rules there are, with a history."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from brain.errors import InvalidInput, NotFound
from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.codec import MARKER
from brain.policy.containment import containment_rule, kill_switch_rule
from brain.policy.measures import Measures
from brain.policy.stored_rules import read_rules, remove_unreadable
from brain.redaction import redacted
from brain.store import Store, open_store
from support.clock import Clock
from support.old_stores import fill_old_store
from support.waiting import wait_until

all_stores = pytest.mark.parametrize("url", ["memory", "sqlite", "redis"], indirect=True)
shared_stores = pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)


def rule(rule_id: str, effect: str = "ALLOW", **more: Any) -> Rule:
    return Rule(id=rule_id, name=rule_id, effect=effect, conditions=[Condition("action", "==", rule_id)], **more)


def engine_on(store: Store, clock: Clock | None = None) -> PolicyEngine:
    return PolicyEngine(store=store, clock=clock or Clock(), follow_interval=None)


@all_stores
def test_what_is_kept_for_measures_cannot_be_set_by_rules(store: Store) -> None:
    engine = engine_on(store)
    engine.add_rule(rule("r"))
    engine.contain("a1", ttl=60, reason="leaked token")
    engine.kill_switch(reason="incident 12", allow=["ops"])
    before = engine.rules()
    for bad, field in (
        (rule("kill-switch"), "id: 'kill-switch' is kept for the kill switch"),
        (rule("containment:a1"), "id: 'containment:a1' is kept for containments"),
        (rule("x", tags=["containment"]), "tags: 'x' has the tag 'containment'"),
        (rule("x", tags=["a", "kill-switch"]), "tags: 'x' has the tag 'kill-switch'"),
    ):
        for call in (engine.add_rule, lambda one: engine.import_rules([rule("y"), one])):
            with pytest.raises(InvalidInput) as caught:
                call(bad)
            assert any(field in fault and "`brain policy" in fault for fault in caught.value.faults)
    with pytest.raises(InvalidInput, match="tags: 'r' has the tag 'containment'"):
        engine.update_rule("r", tags=["containment"])
    for rule_id in ("kill-switch", "containment:a1", "containment:nobody"):
        changes: list[Callable[[str], object]] = [engine.delete_rule, engine.disable_rule, engine.enable_rule]
        for change in (*changes, lambda one: engine.update_rule(one, enabled=False)):
            with pytest.raises(InvalidInput, match=f"id: '{rule_id}' is kept for"):
                change(rule_id)
    engine.import_rules([], replace_all=True)
    engine.rollback(0)
    assert engine.rules() == [one for one in before if one.id != "r"]
    assert [one.id for one in engine.containments()] == ["containment:a1"]
    assert engine.kill_switch_in_force() is not None


@all_stores
def test_measures_have_a_history_of_their_own(store: Store) -> None:
    clock = Clock()
    engine = engine_on(store, clock)
    engine.contain("a1", ttl=60, reason="leaked token", by="ann")
    engine.kill_switch(reason="incident 12", by="bob")
    engine.lift_kill_switch(by="ann", reason="over")
    clock.advance(60)
    assert engine.containments() == []
    engine.expire()
    seen = [
        (one.version, one.by, one.note, one.changes[0].rule.id, one.changes[0].new is None) for one in engine.measures()
    ]
    assert seen == [
        (4, None, "its time was over", "containment:a1", True),
        (3, "ann", "over", "kill-switch", True),
        (2, "bob", "incident 12", "kill-switch", False),
        (1, "ann", "leaked token", "containment:a1", False),
    ]
    assert engine.versions() == []


@all_stores
def test_on_means_in_force_now(store: Store) -> None:
    clock = Clock()
    engine = engine_on(store, clock)
    engine.kill_switch(reason="r", ttl=10)
    assert engine.kill_switch_in_force() is not None
    clock.advance(10)
    assert engine.kill_switch_in_force() is None
    engine.lift_kill_switch()
    with pytest.raises(NotFound):
        engine.lift_kill_switch()
    for odd in (
        replace(kill_switch_rule((), None, "r", None, clock()), enabled=False),
        replace(kill_switch_rule((), None, "r", None, clock()), effect="ALLOW"),
    ):
        store.put("policy.measures", odd.id, msgspec.json.encode(odd.to_dict()))
        engine.refresh()
        assert engine.kill_switch_in_force() is None


@all_stores
def test_a_measure_is_said_to_hold_no_sooner_than_decisions_go_by_it(store: Store) -> None:
    said = []
    engine = engine_on(store)
    measures = Measures(None, store, Clock(), lambda _: said.append(said_to_hold()))

    def said_to_hold() -> bool:
        return measures.kill_switch_in_force() is not None

    said.clear()
    engine.kill_switch(reason="r")
    measures.refresh()
    assert (said, said_to_hold()) == ([False], True)
    engine.lift_kill_switch()
    measures.refresh()
    assert (said, said_to_hold()) == ([False, True], False)


@all_stores
def test_a_rule_that_cannot_be_read_does_not_stop_a_stop_order(store: Store) -> None:
    engine = engine_on(store)
    engine.add_rule(rule("r"))
    store.put("policy.rules", "bad", b'{"id": "bad"}')
    store.put("policy.measures", "containment:bad", b"{")
    elsewhere = engine_on_measures(store)
    with pytest.raises(InvalidInput, match="containment:bad"):
        engine.refresh()
    store.delete("policy.measures", "containment:bad")
    measures = Measures(None, store, Clock())
    measures.contain("a1", ttl=60, reason="leaked token")
    with pytest.raises(InvalidInput, match="stored rule 'bad'"):
        engine.refresh()
    assert not engine.evaluate({"agent_id": "a1", "action": "r"}).allowed
    assert engine.evaluate({"agent_id": "a2", "action": "r"}).allowed, "the rules known last stay in force"
    assert [one.id for one in measures.containments()] == ["containment:a1"]
    assert elsewhere is not None
    with pytest.raises(InvalidInput, match="stored rule 'bad'"):
        engine_on(store)


def engine_on_measures(store: Store) -> str:
    """What a process says that cannot read all measures."""
    with pytest.raises(InvalidInput, match="stored rule 'containment:bad' cannot be read") as caught:
        Measures(None, store)
    return str(caught.value)


@shared_stores
def test_measures_of_an_earlier_version_are_taken_out_of_the_rules(url: str) -> None:
    clock = Clock()
    contained = containment_rule("a1", 60, "leaked token", "ann", clock())
    stopped = kill_switch_rule(("ops",), None, "incident 12", None, clock())
    rules = [rule("r"), rule("odd", tags=["containment"]), contained, stopped]
    stored = {one.id: (3, msgspec.json.encode(one.to_dict())) for one in rules}
    fill_old_store(url, {"policy.rules": {**stored, "/changing": (1, b"1703000000.5")}})
    stores = [open_store(url) for _ in range(2)]
    for store in stores:
        engine = engine_on(store, clock)
        assert [one.id for one in engine.rules()] == ["containment:a1", "kill-switch", "odd", "r"]
        assert engine.get_rule("containment:a1") == contained
        assert engine.kill_switch_in_force() == stopped
        assert sorted(one.key for one in store.scan("policy.rules")) == [MARKER, "odd", "r"]
        assert not engine.evaluate({"agent_id": "a1", "action": "r"}).allowed
    engine.lift("a1")
    engine.lift_kill_switch()
    assert engine.evaluate({"agent_id": "a1", "action": "r"}).allowed
    assert engine.update_rule("odd", tags=["other"]).tags == ["other"]
    for store in stores:
        store.close()


@shared_stores
@pytest.mark.parametrize("measures", [True, False], ids=["with measures", "with rules only"])
def test_an_earlier_version_does_not_start_once_this_one_has(url: str, measures: bool) -> None:
    """It would read the rules that it has stored itself, and miss every measure."""
    clock = Clock()
    stored = [rule("r"), *([containment_rule("a1", 60, "leaked token", "ann", clock())] if measures else [])]
    fill_old_store(url, {"policy.rules": {one.id: (3, msgspec.json.encode(one.to_dict())) for one in stored}})
    for _ in range(2):
        store = open_store(url)
        engine = engine_on(store, clock)
        with pytest.raises(msgspec.DecodeError):  # as that version reads each document
            msgspec.json.decode(next(one.data for one in store.scan("policy.rules") if one.key == MARKER))
        assert [one.key for one in store.scan("policy.rules")] == [MARKER, "r"]
        assert [one.id for one in read_rules(store).rules] == [one.id for one in engine.rules()]
        assert not read_rules(store).faults
        with pytest.raises(NotFound):
            remove_unreadable(store, MARKER)
        engine.close()
        store.close()


@pytest.mark.alone
@shared_stores
def test_a_kill_switch_holds_while_others_take_over_many_rules(url: str) -> None:
    """The other process compiles 3,000 rules again and again; stop orders do not wait for that."""
    stores = [open_store(url) for _ in range(2)]
    rules = [rule(f"r{number}") for number in range(3_000)]
    late = []
    with PolicyEngine(store=stores[0]) as one, PolicyEngine(store=stores[1]) as other:
        one.import_rules(rules)
        done = threading.Event()

        def keep_importing() -> None:
            for turn in range(3):
                one.import_rules([replace(each, priority=turn) for each in rules])
            done.set()

        thread = threading.Thread(target=keep_importing)
        thread.start()
        while not done.is_set() or not late:
            one.kill_switch(reason="r")
            started = time.monotonic()
            wait_until(lambda: other.kill_switch_in_force() is not None, every=0.001)
            late.append(time.monotonic() - started)
            assert not other.evaluate({"action": "r1"}).allowed
            one.lift_kill_switch()
            wait_until(lambda: other.kill_switch_in_force() is None)
        thread.join()
    for store in stores:
        store.close()
    assert sorted(late)[len(late) // 2] < 0.2, late


@pytest.mark.parametrize("agent_id", ["worker ghp_" + "x" * 36, "4111111111111111", "Bearer " + "k3" * 20])
def test_an_agent_is_contained_by_the_mark_that_events_have_of_its_id(agent_id: str) -> None:
    clock = Clock()
    engine = PolicyEngine(clock=clock)
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[]))
    context = {"agent_id": agent_id, "action": "read", "resource": "db", "environment": {}, "params": {}}
    for mark in {redacted(agent_id, "agent_id"), redacted(agent_id, "source")} - {agent_id}:
        assert engine.evaluate(context).allowed
        contained = engine.contain(mark, ttl=60, reason="a threat from it")
        decision = engine.evaluate(context)
        assert (decision.allowed, decision.rule_id) == (False, contained.id)
        assert not engine.preview({"agent": {"id": agent_id}, "action": "read"}).allowed
        assert engine.allowed_actions(agent_id, ["read"]) == []
        won = [(trace.rule_id, trace.matched) for trace in engine.explain(context).rules if trace.outcome == "won"]
        assert won == [(contained.id, True)]
        assert engine.evaluate({**context, "agent_id": agent_id.replace("x", "y").replace("k", "j")[:-1]}).allowed
        assert engine.evaluate({**context, "agent_id": None}).allowed
        engine.kill_switch(reason="incident 12", allow=[agent_id])
        assert engine.evaluate(context).rule_id == contained.id, "as with an agent whose id is none"
        engine.lift(mark)
        assert engine.evaluate(context).allowed, "the kill switch lets it by"
        engine.lift_kill_switch()
        engine.contain(mark, ttl=60, reason="a threat from it")
        clock.advance(61)
        assert engine.evaluate(context).allowed
