"""Tells other processes that a file has news, and waits for that: no file of our own, and nothing asked in between.

Who has news touches the file (its time alone changes); who waits is woken by the kernel (inotify). Only Linux has that:
elsewhere nobody is woken, and who waits looks from time to time.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

from brain.locks import InterruptibleLock

_TIMES_CHANGED = 0x00000004  # IN_ATTRIB of inotify(7): a time, or the number of links


def touch(path: Path) -> None:
    """Wake who watches the file, in every process. A file that is not there, or not ours, wakes nobody."""
    with suppress(OSError):
        os.utime(path)


class FileWatch:
    """Wakes one thread when a file is touched. The file need not be there yet, and may be replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._using = InterruptibleLock()
        self._fd = -1
        self._inode = (0, 0)
        self._poll = select.poll() if hasattr(select, "poll") else None
        self._closed = False

    def follow(self) -> None:
        """Watch the file that has the name now: what is looked for after this, and is not there, will wake `wait`."""
        with self._using:
            if self._closed or self._poll is None:
                return
            try:
                found = os.stat(self._path)
            except OSError:
                return
            if (inode := (found.st_dev, found.st_ino)) != self._inode and self._add():
                self._inode = inode

    def wait(self, seconds: float, otherwise: float) -> bool:
        """Return when the file was touched, True, or after so many seconds, False (`otherwise` with no watch)."""
        with self._using:
            if self._closed:
                return False
            if self._poll is None or self._inode == (0, 0):
                time.sleep(min(seconds, otherwise))
                return False
            if not self._poll.poll(max(0.0, seconds * 1000)):
                return False
            with suppress(BlockingIOError):
                os.read(self._fd, 4096)
            return True

    def _add(self) -> bool:
        """Whether the system watches the file now."""
        if not sys.platform.startswith("linux"):
            return False
        import ctypes

        library = ctypes.CDLL(None)
        if self._fd < 0:
            try:
                self._fd = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            except AttributeError:
                return False
            if self._fd < 0:
                return False  # the user has too many of them
            assert self._poll is not None
            self._poll.register(self._fd, select.POLLIN)
        added: int = library.inotify_add_watch(self._fd, os.fsencode(self._path), _TIMES_CHANGED)
        return added >= 0

    def close(self) -> None:
        """Watch no more; who waits goes on."""
        self._closed = True
        touch(self._path)
        with self._using:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)
