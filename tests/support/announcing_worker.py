"""Processes that change state and announce it, until they are killed."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from typing import Annotated, TypedDict

from msgspec import Meta

from brain import EventStream
from brain.charter import EventType, Frequency, Priority
from brain.store import DocumentChange, Store, open_store
from brain.stream.announcer import EventDraft, write_announced
from brain.stream.publisher import Publisher

THINGS = "things"


class ThingMade(TypedDict):
    """A thing was made."""

    key: Annotated[str, Meta(description="Its key.")]


THING_MADE = EventType(
    name="thing.made",
    module="things",
    payload=ThingMade,
    priority=Priority.MEDIUM,
    frequency=Frequency.HIGH,
    purpose="A thing was made.",
    example={"key": "a"},
)


def make(store: Store, stream: Publisher | None, key: str) -> None:
    """Store a thing and announce it twice: one write of two events."""
    drafts = [EventDraft(THING_MADE, ThingMade(key=f"{key} {part}")) for part in "ab"]
    write_announced(store, stream, [DocumentChange(THINGS, key, b"{}", expected=0)], drafts)


def make_things(url: str, journal: str, name: str, ready: Connection | None = None) -> None:
    """Make some hundred things a second."""
    asyncio.run(_make_things(url, journal, name, ready))


async def _make_things(url: str, journal: str, name: str, ready: Connection | None) -> None:
    stream = await EventStream.open(url, journal=journal)
    store = open_store(url)
    number = 0
    while True:
        make(store, stream, f"{name}-{number:06d}")
        number += 1
        if ready is not None and number == 1:
            ready.send("going")
        await asyncio.sleep(0.001)  # without which the others hardly ever get hold of an SQLite file
