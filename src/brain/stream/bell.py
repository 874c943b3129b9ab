"""Wakes asyncio code, in whatever loop it runs, when the stream has grown."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from brain.logs import Log

log = Log("brain.bell")


class Bell:
    """Rung from any thread; each listener is an asyncio.Event of its own loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that every ring sets; the listener clears it before it looks."""
        event = asyncio.Event()
        with self._lock:
            self._listeners[event] = asyncio.get_running_loop()
        try:
            yield event
        finally:
            with self._lock:
                self._listeners.pop(event, None)

    def ring(self) -> None:
        """Wake all listeners; those whose loop has ended meanwhile are passed over."""
        if self._listeners:
            with self._lock:
                listeners = list(self._listeners.items())
            for event, loop in listeners:
                if event.is_set():
                    continue
                try:
                    loop.call_soon_threadsafe(event.set)
                except RuntimeError:
                    log.debug("a listener's loop has ended without a word")
                    with self._lock:
                        self._listeners.pop(event, None)
