"""Several processes, one rule set: a change in one is effective in all within 200 ms."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from brain.policy import Condition, PolicyEngine, Rule
from brain.store import open_store
from support.policy_worker import follow
from support.processes import kill, spawn


@pytest.mark.parametrize("kind", ["redis", "sqlite"])
def test_a_change_is_effective_in_other_processes_within_200_ms(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("redis_url") if kind == "redis" else f"sqlite:///{tmp_path}/brain.db"
    store = open_store(url)
    workers = []
    try:
        with PolicyEngine(store=store) as engine:
            for _ in range(2):
                ours, theirs = multiprocessing.Pipe()
                workers.append((ours, spawn(follow, url, theirs)))
            for pipe, _ in workers:
                assert pipe.poll(60)
                assert pipe.recv() == "ready"
            rounds = []
            for turn in range(5):  # a machine with other work may hold up some changes, but not in every round
                late = []
                for number in range(10):
                    action = f"a{turn}-{number}"
                    for pipe, _ in workers:
                        pipe.send(action)
                    rule = Rule(id=action, name=action, effect="ALLOW", conditions=[Condition("action", "==", action)])
                    started = time.monotonic()
                    engine.add_rule(rule)
                    for pipe, _ in workers:
                        assert pipe.poll(60), "the change never came"
                        late.append(pipe.recv() - started)
                rounds.append(max(late))
                if rounds[-1] < 0.2:
                    break
            assert min(rounds) < 0.2, rounds
    finally:
        for _, process in workers:
            kill(process)
        store.close()
