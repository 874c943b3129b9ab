"""Buckets, turns of costly searches, nonces, and log lines of one kind."""

from __future__ import annotations

import asyncio
import io
import logging
import sys

import pytest

from brain.access.settings import AccessSettings
from brain.charter import Principal
from brain.logs import KIND_LINES, KIND_SECONDS, _EachKind, _StandardError
from brain.server.costly import AT_ONCE, REST, WAITING, Costly
from brain.server.nonces import PER_KEY, Nonces
from brain.server.rate_limits import CHANGE, DECIDE, LOG_IN, READ, Buckets, RateLimits, SenderRate, network_of
from brain.server.too_many import MOST, QUIET_SECONDS, TooMany
from support.clock import Clock


def test_a_bucket_lets_through_its_burst_and_then_its_rate() -> None:
    clock = Clock(100.0)
    buckets = Buckets(SenderRate(2.0, 4.0), clock)
    assert [buckets.take("a") for _ in range(4)] == [0.0] * 4
    assert buckets.take("a") == pytest.approx(0.5)
    assert buckets.take("b") == 0.0, "others have their own"
    clock.advance(0.5)
    assert buckets.take("a") == 0.0
    assert buckets.take("a") == pytest.approx(0.5)


def test_what_is_given_back_can_be_taken_again_and_no_more_than_that() -> None:
    clock = Clock(100.0)
    buckets = Buckets(SenderRate(2.0, 4.0), clock, most=2)
    for name in "abc":  # for the last one there is no room: it has the bucket of all that have none
        for _ in range(9):
            assert buckets.take(name) == 0.0
            buckets.give_back(name)
        assert [buckets.take(name) for _ in range(4)] == [0.0] * 4
        assert buckets.take(name) == pytest.approx(0.5)
        buckets.give_back(name)
        assert buckets.take(name) == 0.0
        assert buckets.take(name) == pytest.approx(0.5)


def test_what_was_refused_is_not_there_to_be_given_back_by_others() -> None:
    limits = RateLimits(AccessSettings(decisions_rate=1.0), Clock(0.0))
    ann, bob = Principal(name="ann", how="key"), Principal(name="bob", how="key")
    assert any(limits.wait(DECIDE, ann) > 0.0 for _ in range(1_000))
    assert limits.wait(DECIDE, bob) == 0.0
    limits.give_back(DECIDE, bob)
    assert limits.wait(DECIDE, ann) > 0.0


def test_at_the_lowest_rates_there_is_one_too() -> None:
    clock = Clock(0.0)
    limits, who = RateLimits(AccessSettings(decisions_rate=0.001), clock), Principal(name="ann", how="key")
    assert limits.wait(DECIDE, who) == 0.0
    assert limits.wait(DECIDE, who) == pytest.approx(1_000.0)
    clock.advance(1_000.0)
    assert limits.wait(DECIDE, who) == 0.0


def test_without_room_new_senders_share_a_bucket_and_nobody_is_forgotten_early() -> None:
    clock = Clock(100.0)
    buckets = Buckets(SenderRate(1.0, 1.0), clock, most=2)
    assert [buckets.take(name) for name in "ab"] == [0.0, 0.0]
    assert buckets.take("c") == 0.0
    assert buckets.take("d") > 0.0, "c and d share one"
    assert buckets.take("a") > 0.0
    clock.advance(10)
    assert [buckets.take(name) for name in "cd"] == [0.0, 0.0], "the full ones made room"


def test_the_classes_of_routes_and_the_names_of_senders() -> None:
    limits = RateLimits(AccessSettings(), Clock(0.0))
    kinds = {
        limits.kind("POST", "/api/policy/evaluate"): DECIDE,
        limits.kind("GET", "/api/threats"): READ,
        limits.kind("PUT", "/api/policy/kill-switch"): CHANGE,
        limits.kind("POST", "/login"): LOG_IN,
        limits.kind("GET", "/healthz"): None,
    }
    assert all(found == wanted for found, wanted in kinds.items())
    nobody = Principal(name="anonymous", how="none", address="10.0.0.1")
    assert [limits.wait(LOG_IN, nobody) for _ in range(20)] == [0.0] * 20
    assert limits.wait(LOG_IN, nobody) > 0
    assert limits.wait(LOG_IN, Principal(name="anonymous", how="none", address="10.0.0.2")) == 0.0
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff") == "[2001:db8::/64]"
    assert (network_of("10.0.0.1"), network_of(None), network_of("fe80::1%eth0")) == (
        "[10.0.0.1]",
        "[None]",
        "[fe80::/64]",
    )


async def test_searches_of_one_sender_take_turns() -> None:
    costly = Costly()
    running, most, go_on = 0, 0, asyncio.Event()

    async def search() -> None:
        nonlocal running, most
        async with costly.turn("ada"):
            running += 1
            most = max(most, running)
            await go_on.wait()
            running -= 1

    asked = [asyncio.create_task(search()) for _ in range(AT_ONCE + WAITING)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (running, costly.has_room("ada"), costly.has_room("bob")) == (AT_ONCE, False, True)
    go_on.set()
    await asyncio.gather(*asked)
    assert (most, costly.has_room("ada")) == (AT_ONCE, True)


def test_a_key_without_room_is_refused_and_nothing_is_forgotten_early(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1000.0)
    nonces = Nonces(clock)
    assert "before this server started" in str(nonces.fault("k", "n", 1000))
    clock.advance(2)
    for number in range(PER_KEY):
        assert nonces.fault("k", f"n{number}", 1002) is None
    assert "no room" in str(nonces.fault("k", "one more", 1002))
    assert "seen" in str(nonces.fault("k", "n0", 1002))
    assert nonces.fault("other", "n0", 1002) is None
    clock.advance(121)
    assert nonces.fault("k", "one more", 1120) is None


def test_log_lines_of_one_kind_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0.0)
    handler = _StandardError()
    monkeypatch.setattr(handler, "_kinds", _EachKind(clock))
    monkeypatch.setattr(sys, "stderr", out := io.StringIO())
    for number in range(KIND_LINES + 50):
        handler.handle(logging.makeLogRecord({"name": "asyncio", "msg": "no descriptors: %s", "args": (number,)}))
    handler.handle(logging.makeLogRecord({"name": "asyncio", "msg": "another"}))
    assert len(out.getvalue().splitlines()) == KIND_LINES + 1
    clock.advance(KIND_SECONDS)
    handler.setFormatter(logging.Formatter("%(brain)s"))
    handler.handle(logging.makeLogRecord({"name": "asyncio", "msg": "no descriptors: %s", "args": (1,), "brain": {}}))
    assert "'count': 50" in out.getvalue()


def test_what_one_sender_asks_beyond_a_limit_is_one_line_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock(0.0)
    said = TooMany(clock)

    def ask(name: str, times: int) -> list[str]:
        caplog.clear()
        for _ in range(times):
            said.note(DECIDE, Principal(name=name, how="key"), "/api/policy/evaluate")
        return [f"{record.brain['principal']} {record.brain['count']}" for record in caplog.records]  # type: ignore[attr-defined]

    assert ask("a", 1_000) == ["a 1"]
    assert ask("b", 2) == ["b 1"], "others have lines of their own"
    clock.advance(QUIET_SECONDS)
    assert ask("a", 1) == ["a 1000"], "with all those since"
    clock.advance(QUIET_SECONDS)
    lines = [line for number in range(MOST + 3) for line in ask(f"c{number}", 1)]
    assert len(lines) == MOST + 1, "those beyond are counted as one"


async def test_searches_that_wait_for_each_other_leave_the_processor_for_as_long_as_they_took() -> None:
    costly = Costly()
    loop = asyncio.get_running_loop()
    times: list[tuple[float, float]] = []

    async def search() -> None:
        async with costly.turn("a"):
            began = loop.time()
            over = loop.create_future()
            loop.call_later(0.02, over.set_result, None)
            await over
            times.append((began, loop.time()))

    await asyncio.gather(*(search() for _ in range(AT_ONCE + 1)))
    first_end = min(end for _, end in times)
    last_begin = max(begin for begin, _ in times)
    assert last_begin - first_end >= 0.9 * 0.02
    began = loop.time()
    async with costly.turn("b"):
        assert loop.time() - began < REST, "others wait for nothing"
