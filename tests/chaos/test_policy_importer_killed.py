"""An importer killed at any moment, clocks an hour apart: every process sees whole sets, and obeys a stop order.

By default a few rounds with few rules; `make test-long` does 200 rounds with 50,000.
"""

from __future__ import annotations

import multiprocessing
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from brain.policy import PolicyEngine
from brain.store import open_store
from support.policy_worker import import_in_turns, lettered, show_sets
from support.processes import kill, spawn
from support.redis_server import StartRedis
from support.sizes import sizes

KINDS = ((0.0, False), (3600.0, False), (-3600.0, True))
"""Clock's skew, and whether it is a forked child: one process that watches for each."""


@pytest.mark.alone
@pytest.mark.parametrize(("rules", "count", "longest"), sizes((400, 3, 0.5), (50_000, 200, 12.0)))
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_every_process_sees_whole_sets_and_obeys(
    kind: str, rules: int, count: int, longest: float, tmp_path: Path, start_redis: StartRedis, capsys: Any
) -> None:
    url = start_redis().url if kind == "redis" else f"sqlite:///{tmp_path}/brain.db"
    late = rounds(url, rules, count, longest)
    with capsys.disabled():
        print(f"\n{kind}: stopped after {statistics.median(late):.3f} s (median), {max(late):.3f} s (slowest)")
    assert statistics.median(late) < 0.2, late


def rounds(url: str, rules: int, count: int, longest: float) -> list[float]:
    """Seconds until the kill switch held everywhere, for each round; each checks what every process sees."""
    chance = random.Random(count)
    store = open_store(url)
    late = []
    with PolicyEngine(store=store, follow_interval=None) as thrower, watching(url) as pipes:
        thrower.import_rules(lettered("a", rules))
        for _ in range(count):
            importer = spawn(import_in_turns, url, rules)
            time.sleep(chance.uniform(0, longest / 2))
            late.append(stopped(thrower, pipes))
            time.sleep(chance.uniform(0, longest / 2))
            kill(importer)
            started = PolicyEngine(store=store, follow_interval=None)
            assert {rule.description for rule in started.rules()} in ({"a"}, {"b"})
            assert len(started.rules()) == rules
            for pipe in pipes:
                letters, number = asked(pipe, "set")
                assert len(letters) == 1, letters
                assert number == rules
    store.close()
    return late


def stopped(thrower: PolicyEngine, pipes: list[Connection]) -> float:
    """Throw the kill switch, lift it again; seconds from its return until the last process obeyed."""
    for pipe in pipes:
        asked(pipe, "going")
    for pipe in pipes:
        pipe.send("stopped")
    thrower.kill_switch(reason="incident")
    began = time.monotonic()
    seen = max(answer(pipe) for pipe in pipes)
    thrower.lift_kill_switch()
    return max(0.0, seen - began)


@contextmanager
def watching(url: str) -> Iterator[list[Connection]]:
    """Processes that follow the store."""
    pipes, processes = [], []
    try:
        for skew, forked in KINDS:
            ours, theirs = multiprocessing.Pipe()
            processes.append(spawn(show_sets, url, theirs, skew, forked))
            theirs.close()
            pipes.append(ours)
        assert [answer(pipe) for pipe in pipes] == ["ready"] * len(KINDS)
        yield pipes
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            kill(process)


def asked(pipe: Connection, what: str) -> Any:
    pipe.send(what)
    return answer(pipe)


def answer(pipe: Connection) -> Any:
    assert pipe.poll(120), "no answer"
    return pipe.recv()
