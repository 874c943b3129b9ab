"""No test leaves a stream open: it would write log lines and draw random numbers in the tests after it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from support.waiting import wait_until

PATIENCE = 30.0
"""Seconds that a shipper may go on: one that is stuck in a call to a hung server ends with the server."""


@pytest.fixture(autouse=True)
def _no_stream_left_open() -> Iterator[None]:
    before = _shippers()
    yield
    try:
        wait_until(lambda: _shippers() <= before, PATIENCE)
    except TimeoutError:
        pytest.fail("the test left a stream open; open it with `async with`", pytrace=False)


def _shippers() -> set[threading.Thread]:
    """The threads of the streams that are open in this process."""
    return {thread for thread in threading.enumerate() if thread.name == "brain-shipper"}
