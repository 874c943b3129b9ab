"""An SQLite stream: other processes are woken, not asked; who tidies the write-ahead log holds up nobody."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from brain.stream.backends import sqlite
from brain.stream.backends.sqlite import SQLiteBackend
from support.waiting import wait_until

_APPEND = """
import sys
from brain.stream.backends.sqlite import SQLiteBackend

backend = SQLiteBackend(sys.argv[1])
sys.stdin.readline()
backend.append("other", "", "1", [b"an event"])
backend.wake_others()
sys.stdin.readline()
"""


def test_an_append_of_another_process_wakes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_SAFETY", 60.0)  # no look but for a notice
    monkeypatch.setattr(sqlite, "_POLL", 60.0)
    url = f"sqlite:///{tmp_path}/brain.db"
    backend = SQLiteBackend(url)
    other = subprocess.Popen([sys.executable, "-c", _APPEND, url], stdin=subprocess.PIPE)
    assert other.stdin is not None
    woken: list[str] = []
    waiting = threading.Thread(target=lambda: woken.append(backend.wait("", 300)))
    waiting.start()
    other.stdin.write(b"\n")
    other.stdin.flush()
    waiting.join(60)
    assert woken == ["1"]
    assert backend.tail() == "1"
    other.communicate(b"\n")
    backend.close()


def test_the_log_is_taken_into_the_database_by_a_thread_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_TIDIED_AFTER", 3)
    monkeypatch.setattr(sqlite, "_TIDIED_EVERY", 0.0)
    backend = SQLiteBackend(f"sqlite:///{tmp_path}/brain.db")
    before = backend.path.stat().st_size
    for number in range(3):
        backend.tidy()  # too early
        backend.append("p", str(number or ""), str(number + 1), [b"x" * 100_000])
    assert backend.path.stat().st_size == before, "no transaction waits for it"
    backend.tidy()
    wait_until(lambda: backend.path.stat().st_size > before + 200_000)
    assert [entry.position for entry in backend.read("", 10)] == ["1", "2", "3"]
    backend.close()
