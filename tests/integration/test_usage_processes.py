"""A cap on usage over several processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from support.processes import kill, spawn
from support.usage_worker import pass_all


def test_a_cap_holds_over_four_processes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'u.db'}"
    pipes = [multiprocessing.Pipe() for _ in range(4)]
    started = [spawn(pass_all, url, 200, 80, 3, theirs) for _, theirs in pipes]
    assert all(ours.poll(60) for ours, _ in pipes)
    totals = [sum(agent) for agent in zip(*(ours.recv() for ours, _ in pipes), strict=True)]
    for each in started:
        kill(each)
    assert all(180 <= total <= 200 for total in totals), totals
