"""The consumers: audit log, metrics, SOC alerting, incident automation; each a projection of the stream into tables.

A consumer is a package named by an entry point of the group `brain.consumers`. Its `api.py` has

    @asynccontextmanager
    async def open_consumer(house: House) -> AsyncIterator[Consumer]

`brain serve` mounts the routes of all of them and runs the work of those in the setting `consumers`;
`brain worker NAME` runs one alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput

if TYPE_CHECKING:
    from fastapi import APIRouter
    from prometheus_client.core import Metric
    from sqlalchemy import Engine

    from brain.settings import Settings
    from brain.store import Store
    from brain.stream import EventStream


@dataclass(frozen=True)
class House:
    """What a consumer works with."""

    stream: EventStream
    store: Store
    database: Engine
    settings: Settings


@contextmanager
def open_house(stream: EventStream, store: Store, settings: Settings) -> Iterator[House]:
    """The house on an open stream and store; the database is opened here, and closed at the end.

    Raises InvalidInput for a bad database URL.
    """
    from brain.consumers.database import default_database, open_database

    database = open_database(settings.database or default_database(stream.url))
    try:
        yield House(stream, store, database, settings)
    finally:
        database.dispose()


@dataclass(frozen=True)
class Consumer:
    """An opened consumer: its routes, mounted below /api; its work, loops that run until they are cancelled; and, in a
    blocking call, what it adds to `/metrics`.
    """

    router: APIRouter
    work: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    families: Callable[[], Sequence[Metric]] | None = None


def consumer_packages() -> dict[str, str]:
    """The installed consumers: name and package."""
    return {point.name: point.value for point in sorted(entry_points(group="brain.consumers"), key=lambda p: p.name)}


def check_consumers(names: Sequence[str]) -> None:
    """Raises InvalidInput for a name that no installed consumer has."""
    known = consumer_packages()
    if unknown := [name for name in names if name not in known]:
        names = ", ".join(map(repr, unknown))
        raise InvalidInput(f"consumers: {names} is not installed; there are {', '.join(known)}")


def open_consumer(name: str, house: House) -> AbstractAsyncContextManager[Consumer]:
    """The consumer of that name on these parts. Raises InvalidInput for an unknown one."""
    check_consumers([name])
    opening = importlib.import_module(f"{consumer_packages()[name]}.api").open_consumer
    return opening(house)  # type: ignore[no-any-return]  # found by name
