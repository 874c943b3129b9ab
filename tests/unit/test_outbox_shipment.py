"""The way of an outbox's rows to the stream, with everything that can come in between at every step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from brain.charter import Event
from brain.errors import EnvelopeError, Unavailable
from brain.store import DocumentChange, Store
from brain.store.memory import MemoryStore
from brain.stream.backends import Backend
from brain.stream.backends.memory import MemoryBackend
from brain.stream.outbox_rows import COLLECTION, RowKeys, events_of, made_at, rows_of
from brain.stream.outbox_shipment import ROWS, OutboxMark, OutboxShipment, producer_of


def event(number: int, **more: Any) -> Event:
    return Event(type="test.changed", source="test_service", payload={"n": number, **more})


def numbers(backend: Backend) -> list[int]:
    return [Event.decode(entry.data).payload["n"] for entry in backend.read("", 100_000)]


DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]


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


class World:
    """Processes that write changes and ship them, killed, cut off, and frozen in the middle of each other's work."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.store, self.backend = MemoryStore(), MemoryBackend()
        self.keys = RowKeys()
        self.written = 0
        self.calm = False
        self.frozen: set[int] = set()
        self.shipments = [self.born() for _ in range(3)]

    def born(self) -> OutboxShipment:
        meddled: Any = [Meddled(self.store, self.meddle), Meddled(self.backend, self.meddle)]
        return OutboxShipment(*meddled, self.keys)

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
        self.store.write(rows_of(events, self.keys))

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


@pytest.mark.parametrize("seed", range(60))
def test_each_event_is_on_the_stream_once_whatever_comes_in_between(seed: int) -> None:
    world = World(seed)
    for _ in range(60):
        world.step()
        world.write()
    world.calm = True
    ship_all(world.shipments[0])
    assert Counter(numbers(world.backend)) == Counter(range(world.written))
    assert world.store.scan(COLLECTION) == []


def test_events_keep_the_order_of_their_writes_and_large_batches_go_on() -> None:
    store, backend, keys = MemoryStore(), MemoryBackend(), RowKeys()
    for number in range(3 * ROWS):
        store.write(rows_of([event(2 * number), event(2 * number + 1)], keys))
    shipment = OutboxShipment(store, backend, keys)
    assert [len(shipment.ship() or ()) for _ in range(4)] == [ROWS, ROWS, ROWS, 0]
    assert numbers(backend) == list(range(6 * ROWS))
    assert shipment.shipped == 6 * ROWS


def test_a_clock_set_back_does_not_turn_the_order_round() -> None:
    times = iter([5_000_000_000, 1_000_000_000, 1_000_000_000])
    keys = RowKeys(lambda: next(times))
    first, second = keys.new(), keys.new()
    assert first < second
    assert made_at(first) == 5.0
    keys.follow("00000000009000000000-elsewhere")
    assert keys.new() > "00000000009000000000-elsewhere"


def test_many_events_of_one_write_share_rows() -> None:
    rows = rows_of([event(number, text="x" * 1000) for number in range(3000)], RowKeys())
    assert len(rows) == 4
    found = [Event.decode(data).payload["n"] for row in rows for data in events_of(row.data or b"")]
    assert found == list(range(3000))


@pytest.mark.parametrize("payload", [{"text": "x" * (1 << 20)}, {"deep": DEEP}])
def test_an_event_that_no_stream_takes_is_refused_before_the_write(payload: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError, match="payload"):
        rows_of([event(1, **payload)], RowKeys())


class Forgetful(MemoryBackend):
    """As Redis without an append-only file: it may come back with less."""

    durable = False

    def come_back_with(self, events: int, mark: tuple[str, str]) -> None:
        del self._log[events:]
        self._marks = dict([mark]) if mark[1] else {}


@pytest.mark.parametrize("kept", [0, 1])
def test_a_stream_that_comes_back_with_less_is_given_the_events_again(kept: int) -> None:
    store, backend, keys = MemoryStore(), Forgetful(), RowKeys()
    shipment = OutboxShipment(store, backend, keys)
    marks = []
    for number in range(3):
        store.write(rows_of([event(number)], keys))
        shipment.ship()
        marks.append((producer_of(store), backend.mark(producer_of(store))))
    backend.come_back_with(kept, marks[0] if kept else ("", ""))
    shipment.look_back()
    ship_all(shipment)
    assert numbers(backend) == [0, 1, 2]


def test_a_store_that_comes_back_with_rows_that_were_shipped_does_not_double_them() -> None:
    store, backend, keys = MemoryStore(), MemoryBackend(), RowKeys()
    shipment = OutboxShipment(store, backend, keys)
    rows = rows_of([event(0)], keys)
    store.write(rows)
    shipment.ship()
    store.write(rows_of([event(1)], keys))
    shipment.ship()
    store.write([*rows, *rows_of([event(2)], keys)])  # restored from a moment before
    ship_all(shipment)
    assert numbers(backend) == [0, 1, 2]


def test_two_stores_on_one_stream_do_not_disturb_each_other() -> None:
    backend, keys = MemoryBackend(), RowKeys()
    stores = [MemoryStore(), MemoryStore()]
    shipments = [OutboxShipment(store, backend, keys) for store in stores]
    for number in range(20):
        stores[number % 2].write(rows_of([event(number)], keys))
        shipments[number % 2].ship()
    assert numbers(backend) == list(range(20))
    assert producer_of(stores[0]) != producer_of(stores[1])


def test_a_store_that_comes_back_empty_is_named_again() -> None:
    store: Store = MemoryStore()
    backend, keys = MemoryBackend(), RowKeys()
    shipment = OutboxShipment(store, backend, keys)
    store.write(rows_of([event(0)], keys))
    shipment.ship()
    store.delete("events.outbox.id", "store")
    shipment.look_back()
    store.write([*rows_of([event(1)], keys), DocumentChange("things", "a", b"{}")])
    shipment.ship()
    assert numbers(backend) == [0, 1]
    assert OutboxMark.read(backend.mark(producer_of(store))).number == 1
