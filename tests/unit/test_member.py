"""Leases: only standing still ends one, whatever the wall clock does."""

from __future__ import annotations

import time

import pytest

from brain.stream.backends import Fenced
from brain.stream.backends.memory import MemoryBackend
from brain.stream.member import Member


class Monotonic:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=[-3600.0, 3600.0])
def wall_jump(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock, an hour off at every second look."""
    real = time.time
    looks = iter(range(1 << 60))
    monkeypatch.setattr(time, "time", lambda: real() + (request.param if next(looks) % 2 else 0.0))


@pytest.mark.usefixtures("wall_jump")
def test_a_wall_clock_that_jumps_ends_no_lease() -> None:
    backend, clock = MemoryBackend(), Monotonic()
    backend.append("p", "", "1", [b"1", b"2", b"3"])
    live, other = Member(backend, "g", 5.0, clock), Member(backend, "g", 5.0, clock)
    live.join("*", "")
    other.join("*", "")
    held = backend.fetch("g", live.name, 10)
    for _ in range(50):
        clock.now += 2
        assert live.heartbeat() == []
        assert other.heartbeat() == []
    backend.ack("g", live.name, [entry.position for entry in held])


@pytest.mark.usefixtures("wall_jump")
def test_a_silent_member_is_expelled_after_its_lease_and_fenced() -> None:
    backend, clock = MemoryBackend(), Monotonic()
    backend.append("p", "", "1", [b"1", b"2"])
    silent, other = Member(backend, "g", 5.0, clock), Member(backend, "g", 5.0, clock)
    silent.join("*", "")
    other.join("*", "")
    backend.fetch("g", silent.name, 10)
    assert other.heartbeat() == []
    clock.now += 4.9
    assert other.heartbeat() == []
    clock.now += 0.2
    assert [one.data for one in other.heartbeat()] == [b"1", b"2"]
    with pytest.raises(Fenced):
        silent.heartbeat()
    with pytest.raises(Fenced):
        backend.ack("g", silent.name, ["1"])
