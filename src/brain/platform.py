"""What differs between Linux, macOS and Windows: forks, locks on files, reserved space, forced writes, signals.

Linux is what the tests run on. What the other two lack is taken away in tests (tests/support/missing.py), and what
stands in for it here runs; neither macOS nor Windows themselves have run them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from brain.locks import InterruptibleLock

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

__all__ = ["at_fork", "force_out", "give_way", "handle_signals", "lock_file", "read_at", "reserve", "write_at"]

_ZEROS = bytes(1 << 20)
_LOCKED_BYTE = 1 << 30  # beyond any lock file's end: on Windows a locked byte cannot be read by others

_seeking = InterruptibleLock()  # held where reading at an offset takes two calls


def at_fork(
    *,
    before: Callable[[], object] | None = None,
    in_parent: Callable[[], object] | None = None,
    in_child: Callable[[], object] | None = None,
) -> None:
    """Call these round each fork; where there is no fork (Windows) there is nothing to do."""
    register = getattr(os, "register_at_fork", None)
    if register is None:
        return
    steps = {"before": before, "after_in_parent": in_parent, "after_in_child": in_child}
    register(**{name: step for name, step in steps.items() if step is not None})


def lock_file(fd: int) -> bool:
    """Lock the open file for this process alone, until it is closed; False when another has it. Does not wait."""
    try:
        import fcntl
    except ImportError:
        return _lock_byte(fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_byte(fd: int) -> bool:
    if sys.platform != "win32":
        raise OSError("this Python has no fcntl, so no file can be locked; build it with fcntl")
    import msvcrt

    os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
    try:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
    except PermissionError:
        return False
    return True


def reserve(fd: int, size: int, *, cached: bool = False) -> None:
    """Make the file at least `size` bytes long with its blocks reserved. Raises OSError when there is no room.

    Where the system cannot reserve (macOS, Windows) the missing bytes are written as zeros. With `cached` they are
    everywhere: then they are in the system's cache, and the first write to each page through a map is quick.
    """
    allocate, end = getattr(os, "posix_fallocate", None), os.fstat(fd).st_size
    if allocate is not None:
        allocate(fd, 0, size)
        if not cached:
            return
    while end < size:
        end += _write_zeros(fd, size - end, end)


def _write_zeros(fd: int, count: int, offset: int) -> int:
    """At most so many, in one call where the system has one: between two, this thread waits for the interpreter."""
    if hasattr(os, "pwritev"):
        whole, rest = divmod(count, len(_ZEROS))
        return os.pwritev(fd, [*[_ZEROS] * whole, _ZEROS[:rest]], offset)
    return write_at(fd, _ZEROS[:count], offset)


def force_out(fd: int) -> None:
    """Return when the file's data are on stable storage.

    macOS keeps them in the drive's cache at an fsync, and forces them out with F_FULLFSYNC (its fcntl(2)).
    """
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        getattr(os, "fdatasync", os.fsync)(fd)


def give_way() -> None:
    """Let other threads and processes have this processor, where some wait for it.

    Without it a thread that computes went on for up to 4 ms beside one that had woken up (measured on Linux 6.18).
    Windows has no such call.
    """
    if hasattr(os, "sched_yield"):
        os.sched_yield()


def read_at(fd: int, size: int, offset: int) -> bytes:
    """At most `size` bytes of the file from `offset` on."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    with _seeking:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)


def write_at(fd: int, data: bytes, offset: int) -> int:
    """Write at `offset`; how many bytes were written."""
    if hasattr(os, "pwrite"):
        return os.pwrite(fd, data, offset)
    with _seeking:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


@contextmanager
def handle_signals(numbers: Iterable[int], received: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Call `received` in the running loop for these signals; gives what ends that, as the end of the block does."""
    from asyncio import get_running_loop  # here: `import brain` needs no asyncio

    loop = get_running_loop()
    ends: list[Callable[[], object]] = []
    for number in numbers:
        try:
            loop.add_signal_handler(number, received)
            ends.append(lambda number=number: loop.remove_signal_handler(number))  # type: ignore[misc]
        except NotImplementedError:  # the loops of Windows
            ends.append(_handle_directly(loop, number, received))

    def end() -> None:
        while ends:
            ends.pop()()

    try:
        yield end
    finally:
        end()


def _handle_directly(loop: AbstractEventLoop, number: int, received: Callable[[], None]) -> Callable[[], object]:
    def handler(signum: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(received)

    previous = signal.signal(number, handler)
    return lambda: signal.signal(number, previous)
