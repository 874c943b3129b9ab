"""The engine's own ways: threads, shadow rules, sampling, batches, versions, containment, the kill switch."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brain import Event, EventStream, correlation
from brain.errors import Conflict, InvalidInput, NotFound
from brain.policy import Condition, PolicyEngine, Rule
from brain.testing import RecordingStream
from support.clock import Clock
from support.policy_reference import decide
from support.sizes import sizes
from support.waiting import wait_until


def rule(rule_id: str, effect: str = "ALLOW", *held: tuple[str, str, Any], **more: Any) -> Rule:
    return Rule(id=rule_id, name=rule_id, effect=effect, conditions=[Condition(*one) for one in held], **more)


@pytest.mark.parametrize("changes", sizes(75, 1000))
def test_threads_decide_by_the_set_before_or_after_each_change(changes: int) -> None:
    """A change swaps which of two rules allows: never do both decide, and never none."""
    engine = PolicyEngine()
    in_lists = ("action", "in", [f"a{n}" for n in range(20)])
    first = rule("swap", "ALLOW", in_lists, metadata={"turn": 0})
    second = rule("swap", "WARN", ("agent_role", "==", "guest"), metadata={"turn": 1})
    engine.add_rule(first)
    engine.import_rules([rule(f"other{n}", "DENY", ("action", "==", f"x{n}")) for n in range(1000)])
    context = {"action": "a7", "agent_role": "guest"}
    seen: set[str] = set()
    faults: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            while not done.is_set():
                decision = engine.evaluate(context)
                assert (decision.rule_id, decision.effect) in (("swap", "ALLOW"), ("swap", "WARN"))
                seen.add(decision.effect)
        except BaseException as error:  # noqa: BLE001  (whatever it is fails the test below)
            faults.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    # Where the others get the processor seldom, every decision between could be by the same rule.
    wait_until(lambda: "ALLOW" in seen or bool(faults))
    for turn in range(changes):
        engine.update_rule("swap", first if turn % 2 else second)
    engine.update_rule("swap", second)
    wait_until(lambda: "WARN" in seen or bool(faults))
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []
    assert seen == {"ALLOW", "WARN"}


@pytest.mark.parametrize("changes", sizes(150, 1000))
def test_threads_decide_by_one_of_many_sets(changes: int) -> None:
    """With so many changes of many rules, each decision is that of a set there was during it."""
    engine = PolicyEngine()
    pool = [
        rule(f"r{n}", "DENY" if n % 2 else "ALLOW", ("action", "==", f"a{n % 5}"), priority=n % 3) for n in range(15)
    ]
    sets: list[list[Rule]] = [[]]
    faults: list[BaseException] = []
    done = threading.Event()

    def work(action: str) -> None:
        try:
            while not done.is_set():
                context = {"action": action}
                low = len(sets) - 1
                decision = engine.evaluate(context)
                high = len(sets)
                # The writer appends after its change is made, so the set just behind the last may be in force already.
                while len(sets) <= high and not done.is_set() and not any_of(sets[low:], context, decision):
                    time.sleep(0)
                assert any_of(sets[low:], context, decision)
        except BaseException as error:  # noqa: BLE001  (as above)
            faults.append(error)

    def any_of(possible: list[list[Rule]], context: dict[str, Any], decision: Any) -> bool:
        return any(decide(rules, context) == (decision.effect, decision.rule_id) for rules in possible)

    threads = [threading.Thread(target=work, args=(f"a{n % 5}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(changes):
        one = pool[turn * 7 % 15]
        if one.id in {each.id for each in engine.rules()}:
            engine.delete_rule(one.id)
        else:
            engine.add_rule(one)
        sets.append(engine.rules())
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []


def test_one_rule_among_ten_thousand_changes_in_milliseconds() -> None:
    engine = PolicyEngine()
    engine.import_rules(
        [
            rule(f"r{n}", "ALLOW", ("agent_role", "==", f"role{n % 100}"), ("action", "==", f"a{n // 100}"))
            for n in range(10_000)
        ]
    )
    taken = []
    for turn in range(20):
        started = time.thread_time()
        engine.add_rule(rule(f"new{turn}", "DENY", ("agent_role", "==", "role1"), ("action", "==", f"a{turn}")))
        taken.append(time.thread_time() - started)
        assert engine.evaluate({"agent_role": "role1", "action": f"a{turn}"}).rule_id == f"new{turn}"
    assert sorted(taken)[10] < 0.02


def test_shadow_rules_are_recorded_and_never_applied() -> None:
    stream = RecordingStream()
    engine = PolicyEngine(stream)
    engine.add_rule(rule("real", "ALLOW", priority=5))
    engine.add_rule(rule("low", "DENY", priority=4, mode="shadow"))
    engine.add_rule(rule("high", "DENY", ("action", "==", "x"), priority=6, mode="shadow"))
    assert engine.evaluate({"action": "x"}).rule_id == "real"
    assert engine.evaluate({"action": "y"}).rule_id == "real"
    shadowed, plain = stream.get_events_by_type("policy.rule_evaluated")
    assert shadowed.payload["shadow"] == {"rule_id": "high", "rule_name": "high", "effect": "DENY", "allowed": False}
    assert "shadow" not in plain.payload
    assert engine.explain({"action": "x"}).rules[0].outcome == "matched as a shadow rule, not applied"
    engine.update_rule("high", mode="enforce")
    assert not engine.evaluate({"action": "x"}).allowed


def test_sampling_leaves_out_only_plain_permissions() -> None:
    stream = RecordingStream()
    engine = PolicyEngine(stream, sample_allowed=0)
    for effect in ("ALLOW", "DENY", "WARN", "AUDIT"):
        engine.add_rule(rule(effect, effect, ("action", "==", effect)))
    stream.clear()
    for _ in range(10):
        for effect in ("ALLOW", "DENY", "WARN", "AUDIT"):
            engine.evaluate({"action": effect})
    effects = [event.payload["effect"] for event in stream.get_events_by_type("policy.rule_evaluated")]
    assert sorted(effects) == ["AUDIT"] * 10 + ["DENY"] * 10 + ["WARN"] * 10
    with pytest.raises(InvalidInput, match="sample_allowed"):
        PolicyEngine(sample_allowed=2)


OBJECTS: dict[str, Any] = {"environment": {}, "params": {"n": 1}}


def said(event: Event) -> str:
    """What the event of a decision says, but for its own time."""
    return f"{event.type} {event.payload | {'evaluation_time_us': 0}}"


def test_many_at_once_are_recorded_as_one_by_one(tmp_path: Path) -> None:
    contexts: list[dict[str, Any]] = [
        {**dict.fromkeys(("agent_id", "resource"), "a"), "agent_role": "ops", "action": f"act-{n}", **OBJECTS}
        for n in range(3)
    ]
    contexts += [{"action": "act-0", "more": 1}, {"agent": {"role": "ops"}, "action": "act-1"}]
    with EventStream.open_sync(f"sqlite:///{tmp_path}/brain.db") as stream:
        engine = PolicyEngine(stream)
        engine.add_rule(rule("r", "ALLOW", ("agent_role", "==", "ops"), ("action", "in", ["act-0", "act-1"])))
        engine.add_rule(Rule(id="s", name="s", effect="DENY", mode="shadow", priority=1))
        with correlation("one by one"):
            decisions = [engine.evaluate(context) for context in contexts]
        with correlation("together"):
            assert engine.evaluate_many(iter(contexts)) == decisions
        with pytest.raises(InvalidInput):
            engine.evaluate_many([contexts[0], 5])  # type: ignore[list-item]
        assert stream.flush()
        found = {name: stream.read_sync(correlation_id=name, limit=1_000) for name in ("one by one", "together")}
    one_by_one, together = (sorted(said(one.event) for one in events) for events in found.values())
    assert together == one_by_one
    assert len(together) == len(contexts) + sum(not decision.allowed for decision in decisions)


def test_many_at_once() -> None:
    stream = RecordingStream()
    engine = PolicyEngine(stream)
    engine.add_rule(rule("r", "ALLOW", ("agent_role", "==", "admin"), ("action", "in", ["read", "write"])))
    engine.add_rule(rule("s", "DENY", ("resource", "==", "db/secret"), priority=1))
    stream.clear()
    decisions = engine.evaluate_many([{"agent_role": "admin", "action": "read"}, {"action": "read"}])
    assert [decision.allowed for decision in decisions] == [True, False]
    assert len(stream.get_events_by_type("policy.rule_evaluated")) == 2
    stream.clear()
    admin = {"agent_id": "a", "agent_role": "admin"}
    assert engine.allowed_actions(admin, ["read", "write", "drop"]) == [("read", None), ("write", None)]
    assert engine.allowed_actions({"agent": {"role": "admin"}}, ["read"], ["db/a", "db/secret"]) == [("read", "db/a")]
    assert engine.allowed_actions("nobody", ["read"]) == []
    assert list(stream.events) == []


def test_explanations() -> None:
    engine = PolicyEngine()
    engine.add_rule(rule("allow", "ALLOW", ("action", "==", "read")))
    engine.add_rule(rule("deny", "DENY", ("action", "==", "read"), ("params.n", ">", 5)))
    engine.add_rule(rule("off", "DENY", enabled=False))
    explained = engine.explain({"action": "read", "params": {"n": 9}})
    assert explained.why == (
        "2 of 3 rules matched; 'deny' decides because on equal priority DENY is more restrictive than ALLOW."
    )
    assert [(one.rule_id, one.outcome) for one in explained.rules] == [
        ("deny", "won"),
        ("off", "disabled"),
        ("allow", "matched, outranked"),
    ]
    explained = engine.explain({"action": "read", "params": {}})
    assert explained.why == "It is the only one of 3 rules that matched."
    assert "params.n > 5: fails, it is missing" in explained.text()
    assert explained.to_dict(limit=1)["rules"][0]["rule_id"] == "allow"
    assert "and 1 more" in explained.text(limit=2)
    nothing = engine.explain({"action": "write"})
    assert nothing.why == "None of 3 rules matched, so the default effect DENY decides."
    by_id = PolicyEngine()
    by_id.add_rule(rule("a", "DENY"))
    by_id.add_rule(rule("b", "DENY"))
    by_id.add_rule(rule("c", "ALLOW", priority=9))
    assert "because its priority 9 is the highest" in by_id.explain({}).why
    by_id.delete_rule("c")
    assert "because on equal priority and effect its id comes before 'b'" in by_id.explain({}).why


def test_versions_and_rollback() -> None:
    stream = RecordingStream()
    clock = Clock()
    engine = PolicyEngine(stream, clock=clock)
    engine.add_rule(rule("a"), by="ann")
    engine.import_rules([rule("b"), rule("c")], note="two more")
    engine.update_rule("a", priority=5)
    engine.delete_rule("b")
    engine.contain("x", ttl=100, reason="r")
    assert [(one.version, one.note, one.by, len(one.changes)) for one in engine.versions()] == [
        (4, "delete b", None, 1),
        (3, "update a", None, 1),
        (2, "two more", None, 2),
        (1, "add a", "ann", 1),
    ]
    assert [one.id for one in engine.rules_at(2)] == ["a", "b", "c"]
    assert engine.rules_at(0) == []
    stream.clear()
    done = engine.rollback(2, by="bob")
    assert (done.created, done.updated, done.deleted, done.unchanged) == (["b"], ["a"], [], 1)
    assert {event.payload["note"] for event in stream.events} == {"rollback to version 2"}
    assert engine.rules_at(2) == [one for one in engine.rules() if not one.is_temporary]
    assert [one.id for one in engine.containments()] == ["containment:x"]
    assert engine.versions(1)[0].by == "bob"
    for number in (99, -1):
        with pytest.raises(NotFound, match="there is no version"):
            engine.rollback(number)


def test_containment() -> None:
    stream = RecordingStream()
    clock = Clock()
    engine = PolicyEngine(stream, clock=clock)
    engine.add_rule(rule("all", "ALLOW", priority=2**31 - 1))
    contained = engine.contain("a1", ttl=60, reason="stolen key", by="ann")
    assert contained.expires_at == clock.now + 60
    decision = engine.evaluate({"agent_id": "a1"})
    assert not decision.allowed
    assert "stolen key" in decision.reason
    assert engine.evaluate({"agent_id": "a2"}).allowed
    clock.advance(30)
    engine.contain("a1", ttl=60, reason="still")
    clock.advance(59)
    assert engine.expire() == []
    assert [one.description for one in engine.containments()] == ["still"]
    clock.advance(1)
    assert engine.evaluate({"agent_id": "a1"}).allowed, "over on the second, before anybody cleaned up"
    stream.clear()
    assert [one.id for one in engine.expire()] == ["containment:a1"]
    (gone,) = stream.events
    assert (gone.type, gone.payload["note"]) == ("policy.rule_deleted", "its time was over")
    engine.contain("a/1" * 100, ttl=60, reason="odd ids too")
    engine.lift("a/1" * 100)
    with pytest.raises(NotFound, match="is not contained"):
        engine.lift("a1")
    for wrong in ({"ttl": 0}, {"ttl": True}, {"ttl": float("inf")}, {"reason": " "}):
        with pytest.raises(InvalidInput):
            engine.contain("a1", **{"ttl": 5, "reason": "r", **wrong})
    with pytest.raises(InvalidInput) as caught:
        engine.import_rules([contained])
    assert "id: 'containment:a1' is kept for containments" in caught.value.faults[0]


def test_a_shorter_containment_does_not_end_a_longer_one() -> None:
    clock = Clock()
    engine = PolicyEngine(clock=clock)
    longer = engine.contain("a1", ttl=3600, reason="stolen key")
    shorter = engine.contain("a1", ttl=5, reason="again", by="bob")
    assert (shorter.expires_at, shorter.description) == (longer.expires_at, "again")
    assert engine.containments() == [shorter]
    assert engine.contain("a1", ttl=7200, reason="longer yet").expires_at == clock.now + 7200
    engine.lift("a1")
    assert engine.contain("a1", ttl=5, reason="anew").expires_at == clock.now + 5
    clock.advance(6)
    assert engine.contain("a1", ttl=1, reason="that one is over").expires_at == clock.now + 1


def test_no_id_of_an_agent_stands_for_that_of_another() -> None:
    engine = PolicyEngine(default_effect="ALLOW")
    odd = engine.contain("a/1", ttl=60, reason="odd")
    named = odd.id.removeprefix("containment:")
    engine.contain(named, ttl=60, reason="called like that rule")
    assert not engine.evaluate({"agent_id": "a/1"}).allowed
    engine.lift(named)
    assert not engine.evaluate({"agent_id": "a/1"}).allowed
    engine.lift("a/1")
    assert engine.evaluate({"agent_id": "a/1"}).allowed


@pytest.mark.parametrize("allow", ["root", [1], [""], [None]])
def test_a_kill_switch_lets_only_named_agents_through(allow: Any) -> None:
    engine = PolicyEngine()
    with pytest.raises(InvalidInput, match=r"allow: .* is not a list of agents' ids; give a list of texts"):
        engine.kill_switch(reason="incident", allow=allow)


def test_a_containment_ends_by_itself_with_its_event() -> None:
    stream = RecordingStream()
    with PolicyEngine(stream) as engine:
        engine.contain("a1", ttl=0.1, reason="r")
        wait_until(lambda: bool(stream.get_events_by_type("policy.rule_deleted")))
        assert engine.rules() == []


def test_the_kill_switch() -> None:
    clock = Clock()
    engine = PolicyEngine(clock=clock)
    engine.add_rule(rule("all", "ALLOW", priority=2**31 - 1))
    engine.add_rule(rule("no", "DENY", ("action", "==", "drop"), priority=2**31 - 1))
    engine.kill_switch(reason="incident", allow=["ops", "backup"], ttl=60)
    assert not engine.evaluate({"agent_id": "a1"}).allowed
    assert not engine.evaluate({}).allowed
    assert engine.evaluate({"agent_id": "ops", "action": "x"}).allowed
    assert not engine.evaluate({"agent_id": "ops", "action": "drop"}).allowed, "the rules go on to decide for them"
    clock.advance(60)
    assert engine.evaluate({"agent_id": "a1"}).allowed
    engine.kill_switch(reason="again")
    assert not engine.evaluate({"agent_id": "ops", "action": "x"}).allowed
    engine.lift_kill_switch()
    assert engine.evaluate({"agent_id": "a1"}).allowed
    with pytest.raises(NotFound):
        engine.lift_kill_switch()


def test_an_import_is_all_or_nothing() -> None:
    engine = PolicyEngine()
    engine.add_rule(rule("a"))
    with pytest.raises(InvalidInput, match="not valid") as caught:
        engine.import_rules([rule("b"), rule("b", "DENY"), rule("c", tags=["containment"])])
    assert len(caught.value.faults) == 2
    assert [one.id for one in engine.rules()] == ["a"]
    done = engine.import_rules([replace(engine.get_rule("a"), priority=1), rule("b")])
    assert (done.created, done.updated, done.unchanged) == (["b"], ["a"], 0)
    done = engine.import_rules([rule("b")], replace_all=True)
    assert (done.deleted, done.unchanged) == (["a"], 1)
    with pytest.raises(Conflict):
        engine.add_rule(rule("b"))


def test_a_url_in_place_of_a_stream_or_store_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"event_stream: 'memory://' is a text; give what `EventStream.open` returns"
    ):
        PolicyEngine("memory://")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"store: 'memory://' is a text; give what `open_store` returns"):
        PolicyEngine(store="memory://")  # type: ignore[arg-type]
