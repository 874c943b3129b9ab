"""Processes that write changes with their events and ship these, with everything that can come in between."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

from brain.charter import Event
from brain.errors import Unavailable
from brain.stream.backends import Backend
from brain.stream.backends.memory import MemoryBackend
from brain.stream.outbox_shipment import OutboxRows, OutboxShipment


def event(number: int, **more: Any) -> Event:
    return Event(type="test.changed", source="test_service", payload={"n": number, **more})


def numbers(backend: Backend) -> list[int]:
    return [Event.decode(entry.data).payload["n"] for entry in backend.read("", 100_000)]


def ship_all(shipment: OutboxShipment) -> None:
    while shipment.ship() != []:
        pass


class Killed(BaseException):
    """The process is gone."""


class Meddled:
    """A store or a backend between whose calls, and in the middle of them, everything happens."""

    def __init__(self, real: Any, meddle: Callable[[], None]) -> None:
        self._real = real
        self._meddle = meddle

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._meddle()
            result = found(*args, **kwargs)
            self._meddle()
            return result

        return call


class OutboxWorld:
    """Processes that write changes and ship them, killed, cut off, and frozen in the middle of each other's work."""

    def __init__(self, seed: int, rows: OutboxRows, put: Callable[[Sequence[Event]], object]) -> None:
        self.chance = random.Random(seed)
        self.backend = MemoryBackend()
        self.written = 0
        self._rows = rows
        self._put = put
        self.calm = False
        self.frozen: set[int] = set()
        self.shipments = [self.born() for _ in range(3)]

    def goes_on_and_ends(self, steps: int) -> None:
        """Let it happen; then what was written has come to the stream, each once."""
        for _ in range(steps):
            self.step()
            self.write()
        self.calm = True
        ship_all(self.shipments[0])
        assert Counter(numbers(self.backend)) == Counter(range(self.written))

    def born(self) -> OutboxShipment:
        rows, backend = (cast("Any", Meddled(real, self.meddle)) for real in (self._rows, self.backend))
        return OutboxShipment(rows, backend)

    def meddle(self) -> None:
        if self.calm:
            return
        happens = self.chance.random()
        if happens < 0.05:
            raise Killed
        if happens < 0.15:
            raise Unavailable("cut off")
        if happens < 0.35:
            self.step()
        elif happens < 0.45:
            self.write()

    def write(self) -> None:
        events = [event(self.written + more) for more in range(self.chance.randint(1, 3))]
        self.written += len(events)
        self._put(events)

    def step(self) -> None:
        """One of those that are not frozen works until it is through, or something ends it."""
        free = [number for number in range(len(self.shipments)) if number not in self.frozen]
        if not free:
            return
        number = self.chance.choice(free)
        self.frozen.add(number)
        try:
            self.shipments[number].ship()
        except Unavailable:
            pass
        except Killed:
            self.shipments[number] = self.born()
        finally:
            self.frozen.discard(number)
