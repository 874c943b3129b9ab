"""The way of an outbox's rows to the stream, with everything that can come in between at every step."""

from __future__ import annotations

from typing import Any

import pytest

from brain.charter import Event
from brain.errors import EnvelopeError
from brain.store import DocumentChange, Store
from brain.store.memory import MemoryStore
from brain.stream.backends.memory import MemoryBackend
from brain.stream.outbox_rows import COLLECTION, RowKeys, StoreRows, events_of, made_at, rows_of
from brain.stream.outbox_shipment import ROWS, OutboxMark, OutboxShipment
from support.outbox_world import OutboxWorld, event, numbers, ship_all

DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]


@pytest.mark.parametrize("seed", range(60))
def test_each_event_is_on_the_stream_once_whatever_comes_in_between(seed: int) -> None:
    store, keys = MemoryStore(), RowKeys()
    OutboxWorld(seed, StoreRows(store, keys), lambda events: store.write(rows_of(events, keys))).goes_on_and_ends(60)
    assert store.scan(COLLECTION) == []


def test_events_keep_the_order_of_their_writes_and_large_batches_go_on() -> None:
    store, backend, keys = MemoryStore(), MemoryBackend(), RowKeys()
    for number in range(3 * ROWS):
        store.write(rows_of([event(2 * number), event(2 * number + 1)], keys))
    shipment = OutboxShipment(StoreRows(store, keys), backend)
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
    shipment = OutboxShipment(StoreRows(store, keys), backend)
    marks = []
    for number in range(3):
        store.write(rows_of([event(number)], keys))
        shipment.ship()
        marks.append((StoreRows(store, keys).producer(), backend.mark(StoreRows(store, keys).producer())))
    backend.come_back_with(kept, marks[0] if kept else ("", ""))
    shipment.look_back()
    ship_all(shipment)
    assert numbers(backend) == [0, 1, 2]


def test_a_store_that_comes_back_with_rows_that_were_shipped_does_not_double_them() -> None:
    store, backend, keys = MemoryStore(), MemoryBackend(), RowKeys()
    shipment = OutboxShipment(StoreRows(store, keys), backend)
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
    shipments = [OutboxShipment(StoreRows(store, keys), backend) for store in stores]
    for number in range(20):
        stores[number % 2].write(rows_of([event(number)], keys))
        shipments[number % 2].ship()
    assert numbers(backend) == list(range(20))
    names = {StoreRows(store, keys).producer() for store in stores}
    assert len(names) == 2


def test_a_store_that_comes_back_empty_is_named_again() -> None:
    store: Store = MemoryStore()
    backend, keys = MemoryBackend(), RowKeys()
    shipment = OutboxShipment(StoreRows(store, keys), backend)
    store.write(rows_of([event(0)], keys))
    shipment.ship()
    store.delete("events.outbox.id", "store")
    shipment.look_back()
    store.write([*rows_of([event(1)], keys), DocumentChange("things", "a", b"{}")])
    shipment.ship()
    assert numbers(backend) == [0, 1]
    assert OutboxMark.read(backend.mark(StoreRows(store, keys).producer())).number == 1
