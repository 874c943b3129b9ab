"""A server under many that ask too much: another client's decisions stay quick."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from brain.access.repository import Keys
from brain.audit.open import open_projector
from brain.audit.settings import AuditSettings
from brain.kit.database import open_database
from brain.store import open_store
from support.audit import append, records
from support.loud import Loud, loud, request
from support.server import ServeProcess
from support.waiting import wait_until

IDLE, LOUD, SEARCHES, ENTRIES = 1_000, 50, 20, 20_000
RATE = 1.0
"""Decisions a second that each may ask for; the loud ones ask for ten times as many."""
ROUNDS = 3
"""Alone and beside the others, by turns: what the machine does meanwhile is the same for both."""


def times(port: int, keys: list[str]) -> list[float]:
    """Of one client that asks one decision after the other. Each key is good for ten at once, so it has many."""
    took = []
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in [request(key) for key in keys for _ in range(8)]:
            began = time.perf_counter()
            connection.sendall(data)
            status, length = answers.readline(), 0
            while (line := answers.readline()) != b"\r\n":
                length = int(line[15:]) if line.lower().startswith(b"content-length:") else length
            answer = answers.read(length)
            took.append(time.perf_counter() - began)
            assert status.startswith(b"HTTP/1.1 200"), answer
            time.sleep(0.005)
    return took


def under_way(others: Loud) -> bool:
    decided, searched = others.counts()
    return decided[429] > 2 * LOUD and searched.total() > SEARCHES


def p99(took: list[float]) -> float:
    return sorted(took)[len(took) * 99 // 100]


@pytest.mark.long
@pytest.mark.alone
def test_decisions_of_one_client_stay_quick_beside_many_that_ask_too_much(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'brain.db'}")
    keys = Keys(store, None)
    loud_keys = [keys.new(f"loud-{number}", "operator").secret for number in range(LOUD)]
    quiet = [keys.new(f"quiet-{number}", "operator").secret for number in range(10 + ROUNDS * 100)]
    database = open_database(f"sqlite:///{tmp_path / 'brain-consumers.db'}")
    append(database, open_projector(database, AuditSettings()), records(0, ENTRIES))
    database.dispose()
    (tmp_path / "brain.toml").write_text(f"[access]\ndecisions_rate = {RATE}\nheader_seconds = 120\n")
    alone: list[float] = []
    beside: list[float] = []
    with ServeProcess(tmp_path, environment={"BRAIN_CONSUMERS": ","}) as server:
        times(server.port, [quiet.pop() for _ in range(10)])
        for _ in range(ROUNDS):
            alone += times(server.port, [quiet.pop() for _ in range(50)])
            with ExitStack() as open_:
                for _ in range(IDLE):
                    open_.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                others = open_.enter_context(loud(server.port, loud_keys, 10 * RATE, SEARCHES))
                wait_until(partial(under_way, others))
                before = others.counts()
                beside += times(server.port, [quiet.pop() for _ in range(50)])
                late, found = (after - had for after, had in zip(others.counts(), before, strict=True))
        print(f"p99 alone {p99(alone) * 1e3:.2f} ms, beside the others {p99(beside) * 1e3:.2f} ms; {late}, {found}")
        assert late[429] > late[200]
        assert found[200] > SEARCHES
        assert set(found) <= {200, 429}
        assert p99(beside) < 2 * p99(alone)
