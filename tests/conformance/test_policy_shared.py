"""What processes share through a store: versions, containments, approvals, replay of what they recorded."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from brain import EventStream
from brain.errors import Conflict, InvalidInput, NotFound
from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.approvals import Approvals, ApprovalStatus
from brain.policy.replay import Replay, overlaid, replay
from brain.store import Store
from brain.testing import RecordingStream
from support.clock import Clock
from support.waiting import until


def rule(rule_id: str, effect: str = "ALLOW", *held: tuple[str, str, Any], **more: Any) -> Rule:
    return Rule(id=rule_id, name=rule_id, effect=effect, conditions=[Condition(*one) for one in held], **more)


def engines(store: Store, clock: Clock) -> tuple[tuple[PolicyEngine, RecordingStream], ...]:
    """Two engines on one store, each with a stream of its own, that do only what they are told."""
    streams = (RecordingStream(), RecordingStream())
    return tuple((PolicyEngine(one, store=store, clock=clock, follow_interval=None), one) for one in streams)


def test_one_of_all_processes_ends_a_containment(store: Store) -> None:
    clock = Clock()
    (one, first), (other, second) = engines(store, clock)
    one.contain("a1", ttl=10, reason="r")
    other.tick()
    assert not other.evaluate({"agent_id": "a1"}).allowed
    clock.advance(10)
    one.tick()
    other.tick()
    one.tick()
    assert (
        len([*first.get_events_by_type("policy.rule_deleted"), *second.get_events_by_type("policy.rule_deleted")]) == 1
    )
    assert one.rules() == other.rules() == []


def test_nobody_sees_half_an_import(store: Store) -> None:
    """One imports whole sets again and again; whatever another sees, running or starting, is one of them."""
    clock = Clock()
    (one, _), (other, _) = engines(store, clock)
    sets = [[rule(f"{name}{n}", description=name) for n in range(600)] for name in "ab"]
    one.import_rules(sets[0])
    done = threading.Event()

    def keep_importing() -> None:
        for turn in range(6):
            one.import_rules(sets[turn % 2], replace_all=True)
        done.set()

    thread = threading.Thread(target=keep_importing)
    thread.start()
    seen = 0
    while not done.is_set() or seen < 2:
        started = PolicyEngine(store=store, clock=clock, follow_interval=None)
        other.refresh()
        for engine in (started, other):
            assert len({each.description for each in engine.rules()}) == 1
            assert len(engine.rules()) == 600
        seen += 1
    thread.join()


def test_versions_are_numbered_across_processes(store: Store) -> None:
    clock = Clock()
    (one, _), (other, _) = engines(store, clock)
    for turn in range(5):
        one.add_rule(rule(f"one{turn}"))
        other.add_rule(rule(f"other{turn}"))
    assert [version.version for version in one.versions()] == list(range(10, 0, -1))
    one.refresh()
    one.rollback(4)
    assert [each.id for each in one.rules()] == ["one0", "one1", "other0", "other1"]


CONTEXT = {"agent_id": "a1", "agent_role": "support", "action": "void", "resource": "o/1", "params": {"n": 1}}


def test_approvals(store: Store) -> None:
    clock, stream = Clock(), RecordingStream()
    approvals = Approvals(store, stream, clock)
    elsewhere = Approvals(store, stream, clock)
    asking = PolicyEngine(default_effect="AUDIT").evaluate(CONTEXT)
    first = approvals.request(asking, CONTEXT, 60)
    clock.advance(0.001)
    second = approvals.request(asking, {**CONTEXT, "params": {"n": 2}}, 60)
    assert [one.id for one in elsewhere.list("PENDING")] == [second.id, first.id]
    assert elsewhere.find(CONTEXT) == first
    assert elsewhere.find({**CONTEXT, "params": {"n": 3}}) is None
    granted = elsewhere.grant(first.id, by="ann", reason="fine")
    assert (granted.status, granted.answered_by, granted.answer) == (ApprovalStatus.GRANTED, "ann", "fine")
    with pytest.raises(Conflict, match="GRANTED already by ann"):
        approvals.refuse(first.id, by="bob")
    assert approvals.use(first.id)
    assert not elsewhere.use(first.id), "an approval counts once"
    clock.advance(60)
    with pytest.raises(Conflict, match="EXPIRED already"):
        approvals.grant(second.id, by="ann")
    assert approvals.wait(second.id, 1).status is ApprovalStatus.EXPIRED
    assert [event.type.removeprefix("policy.approval_") for event in stream.events] == [
        "requested",
        "requested",
        "granted",
        "used",
        "expired",
    ]
    assert stream.events[2].payload["by"] == "ann"
    with pytest.raises(NotFound):
        approvals.get("apr_none")
    with pytest.raises(InvalidInput, match="status"):
        approvals.list("MAYBE")
    with pytest.raises(InvalidInput, match="who answers"):
        approvals.grant(second.id, by=" ")
    for timeout in (0, -1, True, 1e9):
        with pytest.raises(InvalidInput, match="timeout"):
            approvals.request(asking, CONTEXT, timeout)


def test_a_request_nobody_waits_for_expires_once_for_all(store: Store) -> None:
    clock, stream = Clock(), RecordingStream()
    both = [Approvals(store, stream, clock) for _ in range(2)]
    asking = PolicyEngine(default_effect="AUDIT").evaluate(CONTEXT)
    both[0].request(asking, CONTEXT, 60)
    for one in both:
        one.tick()
    clock.advance(61)
    for one in both * 2:
        one.tick()
    assert len(stream.get_events_by_type("policy.approval_expired")) == 1
    clock.advance(91 * 86_400)
    other = both[0].request(asking, CONTEXT, 60)
    both[0].tick()
    assert [one.id for one in both[1].list()] == [other.id]


async def recorded(stream: EventStream, count: int) -> None:
    """Wait until so many decisions can be read."""

    async def stored() -> bool:
        return len(await stream.read("policy.rule_evaluated", limit=count)) == count

    await until(stored)


async def test_replay_shows_what_would_have_changed(stream: EventStream) -> None:
    engine = PolicyEngine(stream)
    engine.add_rule(rule("read", "ALLOW", ("action", "==", "read")))
    engine.add_rule(rule("tenant", "ALLOW", ("tenant", "==", "t1")))
    for number in range(30):
        engine.evaluate({"agent_id": f"a{number % 3}", "action": "read", "params": {"n": number}})
    engine.evaluate({"agent_id": "a1", "action": "write", "tenant": "t1"})
    engine.evaluate({"agent_id": "a1", "action": "write"})
    engine.contain("a9", ttl=60, reason="r")
    engine.evaluate({"agent_id": "a9", "action": "read"})
    engine.lift("a9")
    await recorded(stream, 33)

    same = (await replay(stream, Replay(engine.rules()))).to_dict()
    assert (same["decisions"], same["unchanged"], same["skipped"]) == (32, 32, 1)

    candidates = [
        rule("big", "DENY", ("params.n", ">", 19), priority=1),
        rule("tenant", "WARN", ("tenant", "==", "t1")),
        rule("writers", "ALLOW", ("action", "==", "write"), ("agent.id", "==", "a1")),
    ]
    started = time.time()
    pages: list[int] = []
    report = await replay(
        stream,
        Replay(overlaid(engine.rules(), candidates), examples=2),
        since=started - 60,
        progress=lambda decisions, last: pages.append(decisions),
    )
    found = report.to_dict()
    assert pages[-1] == 32
    assert (found["newly_denied"], found["newly_allowed"], found["effect_changed"]) == (10, 1, 1)
    assert found["by_action"] == {"read": {"newly_denied": 10}, "write": {"effect_changed": 1, "newly_allowed": 1}}
    assert sum(kinds.get("newly_denied", 0) for kinds in found["by_agent"].values()) == 10
    assert found["by_rule"]["big"] == {"newly_denied": 10}
    example = found["examples"][0]
    assert example["context"] == {"agent_id": "a2", "action": "read", "params": {"n": 20}}
    assert (example["before"]["rule_id"], example["after"]["rule_id"]) == ("read", "big")
    assert [one["kind"] for one in found["examples"]].count("newly_denied") == 2
    nothing = await replay(stream, Replay(engine.rules()), since=started + 3600)
    assert nothing.decisions == 0
    assert (await replay(stream, Replay(engine.rules()), until=started - 3600)).decisions == 0


async def test_replay_decides_by_the_rules_valid_at_the_time(stream: EventStream) -> None:
    engine = PolicyEngine(stream, default_effect="ALLOW")
    engine.evaluate({"action": "read"})
    await recorded(stream, 1)
    now = time.time()
    for candidate, denied in (
        (rule("past", "DENY", expires_at=now - 3600), 0),
        (rule("future", "DENY", not_before=now + 3600), 0),
        (rule("now", "DENY", not_before=now - 3600, expires_at=now + 3600), 1),
    ):
        report = await replay(stream, Replay([candidate], engine.default_effect))
        assert report.changed["newly_denied"] == denied


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_replay_is_quick(stream: EventStream, tmp_path: Path) -> None:
    """100,000 decisions a second is the goal of the benchmark; here only that nothing is quadratic, on any machine."""
    engine = PolicyEngine(stream)
    engine.import_rules([rule(f"r{n}", "ALLOW", ("action", "==", f"a{n}")) for n in range(100)])
    for number in range(10_000):
        engine.evaluate({"agent_id": "a", "action": f"a{number % 200}"})
    await recorded_all(stream)
    started = time.process_time()
    report = await replay(stream, Replay(engine.rules()))
    assert report.decisions == 10_000
    assert report.changed.total() == 0
    assert report.decisions / (time.process_time() - started) > 5_000


async def recorded_all(stream: EventStream) -> None:
    await until(lambda: not stream.stats()["backlog"], 60)


@pytest.mark.parametrize("ahead", [0.1, 360.0, 3600.0])
def test_a_node_whose_clock_is_ahead_expires_nothing_by_looking(store: Store, ahead: float) -> None:
    here, there, stream = Clock(), Clock(), RecordingStream()
    there.advance(ahead)
    asking, looking = Approvals(store, stream, here), Approvals(store, stream, there)
    decision = PolicyEngine(default_effect="AUDIT").evaluate(CONTEXT)
    asked = [asking.request(decision, {**CONTEXT, "params": {"n": n}}, 60) for n in range(3)]
    for _ in range(2):
        looking.tick()
        assert [one.status for one in looking.list()] == [ApprovalStatus.PENDING] * 3
        here.advance(5)
        there.advance(5)
    assert looking.grant(asked[0].id, by="ann").status is ApprovalStatus.GRANTED
    assert asking.use(asked[0].id)
    assert looking.grant(asked[1].id, by="ann").status is ApprovalStatus.GRANTED
    assert looking.use(asked[1].id) is (ahead < 50), "what is past its time on one's own clock is not let through"
    here.advance(60)
    there.advance(60)
    looking.tick()  # nobody who asked is there to say so
    assert looking.get(asked[2].id).status is ApprovalStatus.EXPIRED
    assert len(stream.get_events_by_type("policy.approval_expired")) >= 1


def test_a_request_of_long_ago_is_over_at_first_sight(store: Store) -> None:
    clock = Clock()
    asked = Approvals(store, None, clock).request(PolicyEngine(default_effect="AUDIT").evaluate(CONTEXT), CONTEXT, 60)
    clock.advance(2 * 86_400)
    assert Approvals(store, None, clock).get(asked.id).status is ApprovalStatus.EXPIRED
