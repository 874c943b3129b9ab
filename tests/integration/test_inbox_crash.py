"""kill -9 of a consumer around the commit of its effect: the effect is there once after redelivery."""

from __future__ import annotations

import signal
import sqlite3
from pathlib import Path

import pytest

from brain import Event, EventStream
from support import inbox_worker
from support.command import run_program

WORKER = Path(inbox_worker.__file__)
EVENTS, KILLED_AT = 20, 7


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

    killed = run_program(WORKER, url, effects, point, str(KILLED_AT), folder=tmp_path)
    assert killed.code == -signal.SIGKILL, killed.err
    assert db.execute("SELECT event_id FROM effects").fetchall() == [(event.id,) for event in events[:effects_then]]

    finished = run_program(WORKER, url, effects, folder=tmp_path)
    assert finished.code == 0, finished.err
    assert db.execute("SELECT event_id FROM effects").fetchall() == [(event.id,) for event in events]
    found_handled = int(finished.out.splitlines()[-1])
    assert found_handled >= effects_then - KILLED_AT, "the one that was committed came again, and had no effect"
    db.close()
