"""Caps on usage over processes, and after kills."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brain.policy.usage_store import SHARE
from support.processes import kill, spawn
from support.usage_worker import HOUR, capped, pass_all, pass_some_and_stay, passed


def _ask(url: str, target: Callable[..., None], processes: int, tries: int, agents: int, cap: int) -> list[int]:
    """How many calls of each agent pass in these processes, which are then killed."""
    pipes = [multiprocessing.Pipe() for _ in range(processes)]
    started = [spawn(target, url, cap, tries, agents, theirs) for _, theirs in pipes]
    assert all(ours.poll(500) for ours, _ in pipes)
    totals = [sum(agent) for agent in zip(*(ours.recv() for ours, _ in pipes), strict=True)]
    for each in started:
        kill(each)
    return totals


def test_a_cap_holds_over_processes_to_the_call(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'u.db'}"
    totals = _ask(url, pass_all, 2, 90, 3, 200)
    rest = passed(capped(url, 200), 201, 3)
    assert [one + other for one, other in zip(totals, rest, strict=True)] == [200, 200, 200]


def test_what_a_killed_process_had_leased_comes_back_with_the_next_window(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'u.db'}"
    of_killed = _ask(url, pass_some_and_stay, 1, 60, 1, 400)
    rest = passed(capped(url, 400), 500, 1)
    assert of_killed == [60]
    assert 400 - 2 * 400 // SHARE <= 60 + rest[0] <= 400
    assert passed(capped(url, 400, lambda: HOUR + 3_600), 500, 1) == [400]


@pytest.mark.long
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_thousand_agents_never_pass_their_caps(database: str, tmp_path: Path, request: Any) -> None:
    url = f"sqlite:///{tmp_path / 'u.db'}"
    if database == "postgresql":
        url = request.getfixturevalue("postgres").url
    totals = _ask(url, pass_all, 4, 300, 1_000, 1_000)
    print(f"{database}: between {min(totals)} and {max(totals)} of 1,000 pass, {sum(totals)} in all")
    assert max(totals) <= 1_000
    rest = passed(capped(url, 1_000), 1_001, 1_000)
    assert {one + other for one, other in zip(totals, rest, strict=True)} == {1_000}


@pytest.mark.long
def test_killed_processes_never_let_a_cap_be_passed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'u.db'}"
    totals = [0] * 20
    for _ in range(20):
        each = _ask(url, pass_some_and_stay, 2, 40, 20, 1_000)
        totals = [one + other for one, other in zip(totals, each, strict=True)]
    rest = passed(capped(url, 1_000), 1_001, 20)
    assert max(one + other for one, other in zip(totals, rest, strict=True)) <= 1_000
