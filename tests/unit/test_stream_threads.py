"""Threads of our own, at the end of the event loop that asked for their calls."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from brain.stream.closed import Closed
from brain.stream.threads import HandlerThreads, run_alone, run_in


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


async def test_who_waits_for_a_thread_as_they_end_has_one_of_its_own() -> None:
    """As a task does while its database is closed: it would wait for good."""
    threads, gate = HandlerThreads("test", 1), threading.Event()
    first = asyncio.create_task(run_in(threads, gate.wait, None, "test"))
    await asyncio.sleep(0)
    second = asyncio.create_task(run_in(threads, lambda: "answer", None, "test"))
    await asyncio.sleep(0)
    threads.close()
    gate.set()
    assert await asyncio.wait_for(asyncio.gather(first, second), 20) == [True, "answer"]
