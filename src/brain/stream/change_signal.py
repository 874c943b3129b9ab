"""Wakes asyncio code, in whatever loop it runs, when the stream has grown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from brain.locks import InterruptibleLock
from brain.logs import Log

log: Log = Log("brain.change_signal")


class ChangeSignal:
    """Notified from any thread; each listener is an asyncio.Event of its own loop."""

    def __init__(self) -> None:
        self._lock = InterruptibleLock()
        # Replaced as a whole: `notify` takes no lock, since it may interrupt itself (a signal handler that publishes).
        self._listeners: Mapping[asyncio.Event, asyncio.AbstractEventLoop] = {}

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that every `notify` sets; the listener clears it before it looks."""
        event = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._lock:
            self._listeners = {**self._listeners, event: loop}
        try:
            yield event
        finally:
            with self._lock:
                self._listeners = {each: its for each, its in self._listeners.items() if each is not event}

    def notify(self) -> None:
        """Wake all listeners, those of one loop together; those whose loop has ended meanwhile are passed over."""
        waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Event]] = {}
        for event, loop in self._listeners.items():
            if not event.is_set():
                waiting.setdefault(loop, []).append(event)
        for loop, events in waiting.items():
            try:
                loop.call_soon_threadsafe(_set, events)
            except RuntimeError:
                log.debug("the event loop of a listener has ended")


def _set(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        event.set()
