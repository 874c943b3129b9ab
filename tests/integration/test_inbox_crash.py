"""kill -9 of a consumer around the commit of its effect: the effect is there once after redelivery."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from brain import Event, EventStream

TESTS = Path(__file__).parent.parent
EVENTS, KILLED_AT = 20, 7


def worker(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "support.inbox_worker", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("backend", ["sqlite", "redis"])
@pytest.mark.parametrize(("point", "effects_then"), [("before commit", KILLED_AT), ("after commit", KILLED_AT + 1)])
async def test_the_effect_happens_once(
    backend: str, point: str, effects_then: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'brain.db'}" if backend == "sqlite" else str(request.getfixturevalue("redis_url"))
    effects = str(tmp_path / "effects.db")
    db = sqlite3.connect(effects)
    db.execute("CREATE TABLE effects (event_id TEXT)")
    events = [Event(type="order.paid", source="shop_service", payload={"n": n}) for n in range(EVENTS)]
    async with EventStream.open(url, journal=tmp_path / "journal") as stream:
        receipts = [stream.publish(event) for event in events]
        await receipts[-1]

    killed = worker(url, effects, point, str(KILLED_AT))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert db.execute("SELECT event_id FROM effects").fetchall() == [(event.id,) for event in events[:effects_then]]

    finished = worker(url, effects)
    assert finished.returncode == 0, finished.stderr
    assert db.execute("SELECT event_id FROM effects").fetchall() == [(event.id,) for event in events]
    found_handled = int(finished.stdout.splitlines()[-1])
    assert found_handled >= effects_then - KILLED_AT, "the one that was committed came again, and had no effect"
    db.close()
