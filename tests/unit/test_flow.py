from __future__ import annotations

from pathlib import Path

import pytest

from brain import CircuitOpen, InvalidInput, LimitExceeded, PolicyEngine, Rule, breaker, limiter
from brain.kit.database import open_database
from brain.policy.flow.state import limit_rule
from brain.policy.guards import ActionDenied, Guard, acting_as
from brain.policy.metered import MeteredEngine
from brain.policy.usage import UsageMeter
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream
from support.clock import Clock


def _allowing(engine: PolicyEngine) -> PolicyEngine:
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[]))
    return engine


def _metered(url: str, clock: Clock) -> PolicyEngine:
    return _allowing(MeteredEngine(UsageMeter(open_database(url), clock=clock), clock=clock))


async def test_a_limiter_is_a_bucket_that_fills_again() -> None:
    clock = Clock()
    limited = limiter(_allowing(PolicyEngine()), "search", rate=10, burst=2, clock=clock)

    @limited
    def search(text: str) -> str:
        return text.upper()

    @limited
    async def search_later(text: str) -> str:
        return text.upper()

    assert search("a") == "A"
    assert await search_later("b") == "B"
    with pytest.raises(LimitExceeded, match=r"limit search: more than 10 calls in 1 s; try again in 0\.10 s"):
        search("c")
    with pytest.raises(LimitExceeded) as refused:
        await search_later("c")
    clock.advance(refused.value.retry_after)
    assert await search_later("d") == "D"
    assert search.__name__ == "search"


async def test_processes_of_one_database_share_a_bucket_and_what_was_lost_comes_back(tmp_path: Path) -> None:
    clock = Clock()
    limited = [
        limiter(_metered(f"sqlite:///{tmp_path / 'u.db'}", clock), "search", rate=1, per=1, burst=32, clock=clock)
        for _ in range(2)
    ]
    one, other = (each(lambda: 1) for each in limited)

    def passed(*calls: object) -> int:
        count = 0
        for number in range(100):
            try:
                count += calls[number % len(calls)]()  # type: ignore[operator]
            except LimitExceeded:
                continue
        return count

    assert passed(one, other) == 32
    clock.advance(32)
    assert one() == 1  # it holds another token, and is killed
    clock.advance(3)
    assert passed(other) == 32

    @limited[0]
    async def later() -> int:
        return 1

    clock.advance(5)
    assert await later() == 1


def test_a_lowered_limit_holds_for_decorated_calls_and_for_guards(tmp_path: Path) -> None:
    clock = Clock()
    engine = _metered(f"sqlite:///{tmp_path / 'u.db'}", clock)
    search = limiter(engine, "search", rate=100, per=60, each_agent=True, clock=clock)(lambda: 1)
    for agent, action in (("a", "search"), ("b", "search")):
        with acting_as(agent):
            assert search() == 1
            Guard(engine).check(action)
    engine.add_rule(limit_rule("search", 1, "minute", clock() + 600, "slow", {"agent_id": "a", "action": "search"}))
    clock.advance(5)  # what it had before was used
    with acting_as("a"):
        assert search() == 1
        with pytest.raises(LimitExceeded, match="limit search of a: more than 1 calls in 60 s"):
            search()
        Guard(engine).check("search")
        with pytest.raises(ActionDenied, match="slow"):
            Guard(engine).check("search")
        Guard(engine).check("read")
    with acting_as("b"):
        assert search() == 1
        Guard(engine).check("search")
    clock.advance(601)
    with acting_as("a"):
        assert [search() for _ in range(5)] == [1] * 5


async def test_a_breaker_opens_for_guards_too_and_one_call_of_all_processes_tries() -> None:
    clock, store, stream = Clock(), MemoryStore(), RecordingStream()
    engines = [
        PolicyEngine(stream, store=store, clock=clock, follow_interval=None),
        PolicyEngine(stream, store=store, clock=clock, follow_interval=None),
    ]
    _allowing(engines[0])
    engines[1].refresh()
    fails = [True]
    tried: list[int] = []

    def called(number: int) -> int:
        tried.append(number)
        if fails[0]:
            raise TimeoutError("no answer")
        return number

    made = [
        breaker(each, "billing", failures=2, open_seconds=30, about={"resource": "payments"}, clock=clock)
        for each in engines
    ]
    one, other = (each(called) for each in made)

    @made[0]
    async def later() -> int:
        return called(9)

    with pytest.raises(TimeoutError):
        one(1)
    with pytest.raises(TimeoutError):
        await later()
    with pytest.raises(CircuitOpen, match=r"breaker billing is open for 30\.0 s: TimeoutError: no answer"):
        one(1)
    for engine in engines:
        engine.refresh()
        with pytest.raises(ActionDenied, match="no answer"):
            Guard(engine, agent="a").check("pay", "payments")
    with pytest.raises(CircuitOpen):
        other(2)
    clock.advance(31)
    fails[0] = False
    tried.clear()

    @made[0]
    def probing() -> int:
        with pytest.raises(CircuitOpen, match="while one call tries"):
            other(2)  # whose engine does not know of it yet
        return called(1)

    assert probing() == 1
    assert tried == [1]
    engines[1].refresh()
    assert other(2) == 2
    Guard(engines[1], agent="a").check("pay", "payments")
    moved = [one.payload["state"] for one in stream.get_events_by_type("policy.breaker_changed")]
    assert moved == ["open", "half_open", "closed"]


async def test_a_probe_that_fails_opens_again_and_one_that_never_ends_is_given_up() -> None:
    clock = Clock()
    engine = _allowing(PolicyEngine(clock=clock))
    call = breaker(engine, "billing", failures=1, open_seconds=10, probe_seconds=5, catch=TimeoutError, clock=clock)

    @call
    async def pay(error: Exception | None) -> int:
        if error is not None:
            raise error
        return 1

    with pytest.raises(ValueError, match="no failure of the service"):
        await pay(ValueError("no failure of the service"))
    with pytest.raises(TimeoutError):
        await pay(TimeoutError())
    clock.advance(11)
    with pytest.raises(TimeoutError):
        await pay(TimeoutError())
    with pytest.raises(CircuitOpen):
        await pay(None)
    clock.advance(11)
    assert call.enter(may_block=True) is not None  # a probe of a process that is killed
    with pytest.raises(CircuitOpen):
        await pay(None)
    clock.advance(6)
    assert await pay(None) == 1
    assert engine.known_rule("breaker-billing") is None


def test_what_cannot_be_is_refused() -> None:
    engine = PolicyEngine()
    with pytest.raises(InvalidInput, match="above 0"):
        limiter(engine, "x", rate=0)
    with pytest.raises(InvalidInput, match="about tool is unknown"):
        breaker(engine, "x", about={"tool": "y"})
    with pytest.raises(InvalidInput, match="generator"):
        limiter(engine, "x", rate=1)(lambda: (yield))
