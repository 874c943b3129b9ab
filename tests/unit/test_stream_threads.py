"""Threads of our own, at the end of the event loop that asked for their calls."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from brain.stream.closed import Closed
from brain.stream.threads import run_alone


@pytest.mark.parametrize(("error", "level"), [(None, "INFO"), (Closed(), "INFO"), (OSError("full"), "WARNING")])
def test_a_call_that_outlives_its_loop_is_a_warning_where_an_error_is_lost(
    error: Exception | None, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that is closed meanwhile is no such error: so every program ends."""
    caplog.set_level(logging.INFO, "brain.threads")
    let_go, began = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def call() -> None:
        threads.append(threading.current_thread())
        began.set()
        let_go.wait(60)
        if error is not None:
            raise error

    async def ask() -> None:
        asking = asyncio.create_task(run_alone(call))
        await asyncio.to_thread(began.wait, 60)
        asking.cancel()

    asyncio.run(ask())
    let_go.set()
    threads[0].join(60)
    assert [(record.levelname, "its event loop" in record.getMessage()) for record in caplog.records] == [(level, True)]
