"""Free loopback ports, given to one test process at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path

FIRST, PAST, BLOCK = 12_000, 32_000, 250
"""The ports tests use lie below those of outgoing connections, so a server that is down keeps its port."""


def free_port() -> int:
    """A port that nothing listens on and that no other call, in this or another test process, was given.

    Each process locks a block of ports until it ends and goes through it in turn. A port comes back only after all
    others of the block.
    """
    return next(port for port in _ports(os.getpid()) if _is_free(port))


@cache
def _ports(pid: int) -> Iterator[int]:
    """The ports of the block that process `pid` holds; a fork gets a block of its own."""
    folder = Path("/tmp") / f"brain-test-ports-{os.geteuid()}"  # of all runs: each has a TMPDIR of its own
    folder.mkdir(exist_ok=True)
    blocks = range(FIRST, PAST, BLOCK)
    for first in (*blocks[pid % len(blocks) :], *blocks[: pid % len(blocks)]):
        lock = os.open(folder / str(first), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
        if _locked(lock):  # and open until the process ends: closing a file gives up its lock
            return cycle(range(first, first + BLOCK))
        os.close(lock)
    raise AssertionError(f"all {len(blocks)} blocks of ports are in use; end the other test runs on this machine")


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
