"""A forked child of the test's own process, which shares what the test has open, and talks over a pipe."""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from brain.store import forking

DEADLINE = 60.0
"""Seconds that a child may take to answer: only one that hangs takes so long."""
MOST_PARTS = 20
"""So many more parts than there were are garbage of earlier tests; each of them takes part in a fork."""


class Child:
    """The parent's end."""

    def __init__(self, pid: int, pipe: Connection) -> None:
        self.pid = pid
        self._pipe = pipe

    def receive(self) -> Any:
        """What the child sent. Raises AssertionError when it hangs or has failed."""
        assert self._pipe.poll(DEADLINE), "the child hangs"
        kind, value = self._pipe.recv()
        assert kind == "sent", value
        return value

    def send(self, value: object) -> None:
        """Let the child receive the value."""
        self._pipe.send(value)


class Parent:
    """The child's end."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def receive(self) -> Any:
        """What the parent sent."""
        return self._pipe.recv()

    def send(self, value: object) -> None:
        """Let the parent receive the value."""
        self._pipe.send(("sent", value))


def _leave_garbage() -> None:
    global _parts_left
    if len(forking._parts) > _parts_left + MOST_PARTS:
        gc.collect()
        _parts_left = len(forking._parts)


_parts_left = 0


@contextmanager
def forked(work: Callable[[Parent], object]) -> Iterator[Child]:
    """A child made by os.fork() that runs `work`; its result is the last that it sends. Ended with the block."""
    _leave_garbage()
    ours, theirs = Pipe()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _run(work, theirs)
    theirs.close()
    try:
        yield Child(pid, ours)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        ours.close()


def _run(work: Callable[[Parent], object], pipe: Connection) -> None:
    """Never returns: what is on the stack above is the parent's."""
    parent = Parent(pipe)
    try:
        parent.send(work(parent))
    except BaseException:  # noqa: BLE001  (the parent's test fails with it)
        pipe.send(("failed", traceback.format_exc()))
    finally:
        os._exit(0)


def in_child(work: Callable[[], object]) -> Any:
    """What `work` returns in a forked child."""
    with forked(lambda _: work()) as child:
        return child.receive()
