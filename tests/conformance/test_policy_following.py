"""Engines that follow a shared store: in forked children, after any failure, and never by rules that are too old."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from brain.errors import InvalidInput, Unavailable
from brain.garbage import gc_paused
from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.approvals import ApprovalStatus
from brain.policy.follower import REMINDER, Follower
from brain.store import Reading, Store, forking, open_store
from brain.testing import RecordingStream
from support.clock import Clock
from support.forks import Child, Parent, forked, in_child
from support.log_lines import caught_logs
from support.policy_worker import change_rules
from support.processes import kill, spawn
from support.redis_server import RedisServer
from support.sizes import sizes

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
shared = pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)
DEADLINE = 30.0
"""Seconds; what is awaited comes within milliseconds, so only a failing test waits for so long."""


def until(condition: Callable[[], bool]) -> float:
    """Look until the condition holds; how many seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + DEADLINE, "it never came"
        time.sleep(0.001)
    return time.monotonic() - began


@pytest.fixture(autouse=True)
def _no_followers_of_other_tests() -> None:
    """A follower ends with its engine, and an engine that a test left behind when it is collected."""
    if followers():
        gc.collect()
        until(lambda: not followers())


def followers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "policy-follower"]


def allowing(action: str) -> Rule:
    return Rule(id=action, name=action, effect="ALLOW", conditions=[Condition("action", "==", action)])


def allows(engine: PolicyEngine, action: str) -> bool:
    return engine.evaluate({"action": action}).allowed


@pytest.fixture
def engine(store: Store) -> Iterator[PolicyEngine]:
    with PolicyEngine(store=store) as engine:
        yield engine


@pytest.fixture
def elsewhere(url: str) -> Iterator[Callable[[str], None]]:
    """Adds, in a process of its own, a rule that allows the action."""
    ours, theirs = multiprocessing.Pipe()
    process = spawn(change_rules, url, theirs)

    def add(action: str) -> None:
        ours.send(action)
        assert ours.poll(60)
        assert ours.recv() == action

    yield add
    kill(process)


# Forks


def obeys(engine: PolicyEngine, parent: Parent) -> object:
    """In a child: decide at once, then say how long each rule took to be obeyed; close."""
    parent.send(allows(engine, "before"))
    while action := parent.receive():
        parent.send(until(lambda action=action: allows(engine, action)))
    engine.close()
    return engine.follow_failures


@forks
@shared
def test_a_child_follows(engine: PolicyEngine, elsewhere: Callable[[str], None]) -> None:
    engine.add_rule(allowing("before"))
    with forked(lambda parent: obeys(engine, parent)) as child, forked(lambda parent: obeys(engine, parent)) as other:
        assert child.receive()
        assert other.receive()
        assert rounds_of(lambda action: elsewhere(action), (child, other), engine) < 0.2
        for one in (child, other):
            one.send("")
            assert one.receive() == 0
        elsewhere("last")
        until(lambda: allows(engine, "last"))


def rounds_of(add: Callable[[str], None], children: tuple[Child, ...], engine: PolicyEngine) -> float:
    """The slowest of the processes in the best of some rounds: a loaded machine may hold up others."""
    best = DEADLINE
    for number in range(10):
        add(f"a{number}")
        for child in children:
            child.send(f"a{number}")
        took = until(lambda number=number: allows(engine, f"a{number}"))
        best = min(best, max(took, *(child.receive() for child in children)))
        if best < 0.2:
            break
    return best


@forks
@shared
def test_a_child_changes_rules_and_the_parent_obeys(engine: PolicyEngine) -> None:
    def work() -> object:
        engine.add_rule(allowing("of-child"))
        engine.contain("a1", ttl=60, reason="r")
        return engine.versions(1)[0].version

    engine.add_rule(allowing("before"))
    assert in_child(work) == 2
    until(lambda: allows(engine, "of-child"))
    until(lambda: len(engine.containments()) == 1)
    engine.update_rule("of-child", name="changed")


@forks
def test_a_child_of_an_engine_without_a_store_ends_its_containments() -> None:
    clock = Clock()
    engine = PolicyEngine(default_effect="ALLOW", clock=clock)
    engine.contain("a1", ttl=60, reason="r")

    def work() -> object:
        refused = not engine.evaluate({"agent_id": "a1"}).allowed
        clock.advance(60)
        until(lambda: engine.rules() == [])
        return refused

    assert in_child(work)
    engine.close()


def of_pool(action: str) -> float:
    assert POOLED is not None
    return until(lambda: allows(POOLED, action))


POOLED: PolicyEngine | None = None


@forks
@shared
def test_a_process_pool_follows(engine: PolicyEngine, elsewhere: Callable[[str], None]) -> None:
    global POOLED
    POOLED = engine
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        engine.add_rule(allowing("a"))
        assert pool.submit(of_pool, "a").result(60) < DEADLINE
        elsewhere("b")
        assert all(took < DEADLINE for took in pool.map(of_pool, ["a", "b"] * 4, timeout=60))


@forks
@shared
@pytest.mark.parametrize("children", sizes(4, 50))
def test_forks_while_rules_change_in_all_threads(children: int, engine: PolicyEngine, store: Store) -> None:
    """Whatever lock a thread of the parent holds, and however far it has come, each child ends with the whole set."""
    ended = threading.Event()

    def work(number: int) -> None:
        while not ended.is_set():
            engine.import_rules([allowing(f"a{number}-{each}") for each in range(3)])
            engine.import_rules([], note="nothing")
            engine.delete_rule(f"a{number}-1")

    def settled() -> object:
        until(lambda: engine.rules_age < 1)
        engine.add_rule(allowing(f"child{os.getpid()}"))
        engine.close()
        with PolicyEngine(store=store, follow_interval=None) as fresh:
            engine.refresh()
            until(lambda: (engine.refresh() or fresh.refresh() or True) and engine.rules() == fresh.rules())
        return "settled"

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        with caught_logs() as lines:
            for _ in range(children):
                assert in_child(settled) == "settled"
        assert not [line for line in lines if "did not wait any longer" in line["event"]]
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    until(lambda: sum(rule.id.startswith("child") for rule in engine.rules()) == children)


@forks
@shared
def test_a_fork_that_does_not_wait_for_a_long_look(
    engine: PolicyEngine, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child cannot know how far the look had come, and so begins from what the store has."""
    monkeypatch.setattr(forking, "PATIENCE", 0.05)
    engine.import_rules([allowing("stays"), allowing("goes")])
    parent, read, reading, goes_on = os.getpid(), store.read, threading.Event(), threading.Event()

    def slow(collection: str, *more: Any) -> Reading:
        found = read(collection, *more)
        if os.getpid() == parent and collection == "policy.rules":
            reading.set()
            goes_on.wait(DEADLINE)
        return found

    store.read = slow  # type: ignore[method-assign]
    assert reading.wait(DEADLINE)
    other = open_store(url)
    changed = PolicyEngine(store=other, follow_interval=None)
    changed.delete_rule("goes")
    changed.add_rule(allowing("comes"))

    def work() -> object:
        assert allows(engine, "stays")  # at once; its own look may have come by now
        until(lambda: allows(engine, "comes") and not allows(engine, "goes"))
        engine.add_rule(allowing("of-child"))
        return sorted(rule.id for rule in engine.rules())

    assert in_child(work) == ["comes", "of-child", "stays"]
    goes_on.set()
    until(lambda: allows(engine, "of-child") and not allows(engine, "goes"))
    other.close()


@forks
@shared
def test_approvals_in_a_child(engine: PolicyEngine) -> None:
    context = {"agent_id": "a1", "action": "pay"}
    asking = PolicyEngine(default_effect="AUDIT").evaluate(context)
    mine = engine.approvals.request(asking, context)

    def work() -> object:
        engine.approvals.grant(mine.id, by="ann")
        theirs = engine.approvals.request(asking, context)
        return engine.approvals.wait(theirs.id, 0.01).status

    waits: list[ApprovalStatus] = []
    thread = threading.Thread(target=lambda: waits.append(engine.approvals.wait(mine.id, 0.01).status))
    thread.start()  # in `wait`, with the lock that a child must not inherit
    with forked(lambda _: work()) as child:
        thread.join(DEADLINE)
        assert waits == [ApprovalStatus.GRANTED]
        until(lambda: len(engine.approvals.list(ApprovalStatus.PENDING)) == 1)
        engine.approvals.refuse(engine.approvals.list(ApprovalStatus.PENDING)[0].id, by="bob")
        assert child.receive() == "REFUSED"


@forks
@shared
def test_closed_engines_stay_closed_in_a_child(engine: PolicyEngine) -> None:
    engine.close()

    def work() -> object:
        engine.close()
        return [thread.name for thread in threading.enumerate() if thread.name == "policy-follower"]

    assert in_child(work) == []


# Failures


@shared
def test_a_stored_rule_that_cannot_be_read_is_counted_logged_once_and_got_over(
    engine: PolicyEngine, store: Store
) -> None:
    engine.add_rule(allowing("a"))
    engine.contain("a1", ttl=0.05, reason="r")
    with caught_logs() as logs:
        store.put("policy.rules", "bad", b'{"id": "bad"}')
        until(lambda: engine.follow_failures > 5)
        assert allows(engine, "a"), "the last set holds"
        until(lambda: not engine.containments())
        store.delete("policy.rules", "bad")
        failures = engine.follow_failures
        PolicyEngine(store=store, follow_interval=None).add_rule(allowing("b"))
        until(lambda: allows(engine, "b"))
        until(lambda: any("followed again" in line["event"] for line in logs))
    assert engine.follow_failures >= failures
    following = [(line["level"], line["event"]) for line in logs if "follow" in line["event"]]
    assert following == [
        ("error", "rules not followed, deciding by the last known"),
        ("info", "rules are followed again"),
    ]
    assert "InvalidInput: stored rule 'bad' cannot be read" in next(line["error"] for line in logs if "error" in line)


@shared
def test_a_measure_that_cannot_be_read_keeps_no_rule_back(engine: PolicyEngine, store: Store) -> None:
    store.put("policy.measures", "bad", b'{"id": "bad"}')
    until(lambda: engine.follow_failures > 2)
    store.put("policy.rules", "a", msgspec.json.encode(allowing("a").to_dict()))
    until(lambda: allows(engine, "a"))


class Failing:
    """An engine whose ticks raise what is set."""

    def __init__(self) -> None:
        self.ticks = 0
        self.error: BaseException | None = None

    def tick(self) -> None:
        self.ticks += 1
        if self.error is not None:
            raise self.error

    def ticks_more(self) -> None:
        """Wait for two ticks that begin from now on."""
        seen = self.ticks
        until(lambda: self.ticks > seen + 1)


@pytest.fixture
def followed() -> Iterator[tuple[Failing, Follower, Clock]]:
    engine, clock = Failing(), Clock()
    follower = Follower(engine, 0.001, clock)
    follower.start()
    yield engine, follower, clock
    follower.stop()
    assert "policy-follower" not in [thread.name for thread in threading.enumerate()]


def test_no_exception_ends_following(followed: tuple[Failing, Follower, Clock]) -> None:
    engine, follower, clock = followed
    with caught_logs() as logs:
        for error in (
            RuntimeError("x"),
            MemoryError(),
            sqlite3.OperationalError("disk I/O error"),
            InvalidInput("x"),
            Unavailable("x"),
            RecursionError("x"),
        ):
            engine.error = error
            engine.ticks_more()
        assert follower.failures >= 6
        clock.advance(REMINDER)
        engine.ticks_more()
        engine.error = None
        engine.ticks_more()
    said = [line["error"].partition(":")[0] for line in logs if line["level"] == "error"]
    assert said == [
        "RuntimeError",
        "MemoryError",
        "OperationalError",
        "InvalidInput",
        "Unavailable",
        "RecursionError",
        "RecursionError",
    ]
    assert logs[-1]["event"] == "rules are followed again"
    assert follower.restarts == 0


def killed(thread: threading.Thread) -> None:
    """Set off SystemExit in the thread, as debuggers and impatient hosts do; it is dead when this returns."""
    assert thread.ident is not None
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)) == 1
    thread.join(DEADLINE)
    assert not thread.is_alive()


def follower_thread() -> threading.Thread:
    return next(thread for thread in threading.enumerate() if thread.name == "policy-follower")


def test_a_thread_that_dies_is_replaced(followed: tuple[Failing, Follower, Clock]) -> None:
    engine, follower, _ = followed
    engine.ticks_more()
    for turn in range(1, 4):
        killed(follower_thread())
        assert (follower.restarts, follower.failures) == (turn, turn)
        engine.ticks_more()


def test_a_dead_thread_is_noticed_by_who_asks_for_the_age(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with PolicyEngine(store=store) as engine:
        start = threading.Thread.start

        def no_more_threads(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", no_more_threads)
        killed(follower_thread())
        assert engine.rules_age >= 0
        monkeypatch.setattr(threading.Thread, "start", start)
        tried = engine.follower_restarts
        assert tried >= 1
        assert engine.rules_age >= 0
        assert engine.follower_restarts == tried + 1
        PolicyEngine(store=store, follow_interval=None).add_rule(allowing("a"))
        until(lambda: allows(engine, "a"))


def test_nothing_is_said_when_the_interpreter_ends(tmp_path: Path) -> None:
    script = f"""
from brain.policy import PolicyEngine
from brain.store import open_store
engines = [PolicyEngine(store=open_store("sqlite:///{tmp_path}/brain.db"), follow_interval=0.0001) for _ in range(5)]
"""
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# The age of the rules

CONTEXT = {"agent_id": "a1", "agent_role": "guest", "action": "a", "resource": None, "environment": {}, "params": {}}


def test_rules_that_are_too_old_deny(store: Store) -> None:
    monotonic, stream = Clock(1000), RecordingStream()
    engine = PolicyEngine(
        stream, store=store, default_effect="ALLOW", follow_interval=None, max_rules_age=5, monotonic=monotonic
    )
    engine.add_rule(allowing("a"))
    monotonic.advance(5)
    assert engine.rules_age == 5
    assert engine.evaluate(CONTEXT).rule_id == "a"
    monotonic.advance(0.1)
    decision = engine.evaluate(CONTEXT)
    assert (decision.allowed, decision.effect, decision.rule_id) == (False, "DENY", None)
    assert "last successful look at the store is more than 5 s ago (max_rules_age)" in decision.reason
    assert engine.evaluate_many([CONTEXT, {"action": "b"}]) == [decision, decision]
    assert engine.explain(CONTEXT).decision == decision
    assert engine.explain(CONTEXT).why.startswith("No rule was considered")
    assert "DENY: denied because the rules may be out of date" in engine.explain(CONTEXT).text()
    assert engine.allowed_actions("a1", ["a", "b"]) == []
    denied = stream.get_events_by_type("policy.action_denied")
    assert [event.payload["reason"] for event in denied] == [decision.reason] * 3
    assert stream.get_events_by_type("policy.rule_evaluated")[-1].payload["allowed"] is False
    assert engine.refresh() in (True, False)
    assert engine.rules_age == 0
    assert engine.evaluate(CONTEXT).rule_id == "a"
    assert [rule.id for rule in engine.rules()] == ["a"]


def test_shadow_rules_and_times_do_not_hide_the_age(store: Store) -> None:
    monotonic, clock = Clock(1000), Clock()
    engine = PolicyEngine(store=store, clock=clock, follow_interval=None, max_rules_age=5, monotonic=monotonic)
    engine.import_rules(
        [
            Rule(id="now", name="n", effect="ALLOW", expires_at=clock() + 60, conditions=[]),
            Rule(id="shadow", name="s", effect="ALLOW", mode="shadow", conditions=[]),
        ]
    )
    assert engine.evaluate(CONTEXT).allowed
    monotonic.advance(6)
    assert not engine.evaluate(CONTEXT).allowed
    engine.refresh()
    clock.advance(61)
    assert engine.evaluate(CONTEXT).reason == "denied by default: no rule matches"


def test_an_engine_of_its_own_is_never_stale() -> None:
    monotonic = Clock(1000)
    engine = PolicyEngine(default_effect="ALLOW", max_rules_age=5, monotonic=monotonic)
    monotonic.advance(1e6)
    assert engine.evaluate(CONTEXT).allowed
    assert engine.rules_age == 0


@pytest.mark.parametrize("url", ["memory"], indirect=True)  # no store has a part in it
@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "5", 0.05])
def test_a_limit_that_looks_cannot_keep_is_refused(store: Store, limit: Any) -> None:
    with pytest.raises(InvalidInput, match=r"max_rules_age: .* is not a number of seconds above 0"):
        PolicyEngine(store=store, max_rules_age=limit)


def test_a_frozen_redis_denies_in_time_and_the_thaw_ends_it(redis_server: RedisServer) -> None:
    with PolicyEngine(store=open_store(f"{redis_server.url}?socket_timeout=0.2"), max_rules_age=0.5) as engine:
        engine.add_rule(allowing("a"))
        redis_server.freeze()
        try:
            until(lambda: not allows(engine, "a"))
            assert engine.rules_age > 0.5
        finally:
            redis_server.thaw()
        until(lambda: allows(engine, "a"))
        assert engine.follow_failures > 0


def test_a_look_that_hangs_for_ever_denies_too(tmp_path: Path) -> None:
    """A follower that is alive, and does nothing: decisions do not count on it."""
    store = open_store(f"sqlite:///{tmp_path}/brain.db")
    goes_on = threading.Event()
    with PolicyEngine(store=store, max_rules_age=0.3) as engine:
        engine.add_rule(allowing("a"))
        read = store.read
        store.read = lambda *of: goes_on.wait(DEADLINE) and read(*of)  # type: ignore[assignment,method-assign]
        until(lambda: not allows(engine, "a"))
        assert follower_thread().is_alive()
        assert engine.follower_restarts == 0
        goes_on.set()
        until(lambda: allows(engine, "a"))


@shared
def test_one_cheap_read_a_look_and_close_waits_for_one_at_most(store: Store) -> None:
    reads: Counter[tuple[str, str]] = Counter()

    def counting(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(collection: str, *more: Any, **named: Any) -> Any:
            reads[name, collection] += 1
            return method(collection, *more, **named)

        return counted

    for name in ("read", "mark", "scan", "get"):
        setattr(store, name, counting(name, getattr(store, name)))
    engine = PolicyEngine(store=store, follow_interval=0.001)
    engine.add_rule(allowing("a"))
    until(lambda: reads["mark", "policy.approvals"] > 5)
    reads.clear()
    until(lambda: reads["mark", "policy.approvals"] > 50)
    engine.close()
    assert "policy-follower" not in [thread.name for thread in threading.enumerate()]
    rounds = reads["mark", "policy.approvals"]
    assert set(reads) == {("mark", "policy.approvals"), ("read", "policy.rules"), ("read", "policy.measures")}
    assert abs(reads["read", "policy.rules"] - rounds) <= 2


def test_a_child_collects_garbage_though_a_thread_of_the_parent_did_not() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def compile_rules() -> None:
        with gc_paused():
            inside.set()
            go_on.wait()

    thread = threading.Thread(target=compile_rules)
    thread.start()
    inside.wait()
    try:
        assert in_child(lambda: [gc.isenabled(), _after_another_pause()]) == [True, True]
    finally:
        go_on.set()
        thread.join()
    assert gc.isenabled()


def _after_another_pause() -> bool:
    with gc_paused():
        pass
    return gc.isenabled()
