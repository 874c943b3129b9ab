"""Two databases for one group: the second one is refused, on every stream and both databases, until it is adopted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import Event, EventStream
from brain.kit.database import open_database
from brain.kit.database_identity import OwnedElsewhere, adopt_groups, identify, owned_elsewhere
from brain.kit.projection import Item, Projection
from support.projecting import projection_on
from support.waiting import until


@pytest.fixture
def mine(postgres: object) -> Iterator[sa.Engine]:
    engine = open_database(postgres.url)  # type: ignore[attr-defined]
    yield engine
    engine.dispose()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    yield engine
    engine.dispose()


def projecting(stream: EventStream, engine: sa.Engine, applied: list[str]) -> Projection:
    def apply(db: sa.Connection, items: Sequence[Item]) -> None:
        applied.extend(item.position for item in items)

    return projection_on(stream, engine, "projected", apply)


async def publish(stream: EventStream) -> None:
    await stream.publish(Event(type="test.happened", source="test_service", payload={}))


def test_a_database_keeps_its_identity(mine: sa.Engine, other: sa.Engine) -> None:
    assert identify(mine) == identify(mine)
    assert identify(mine).identity != identify(other).identity


async def test_a_second_database_is_refused_until_it_is_adopted_and_the_first_one_stops_then(
    stream: EventStream, mine: sa.Engine, other: sa.Engine
) -> None:
    first: list[str] = []
    second: list[str] = []
    running = asyncio.create_task(projecting(stream, mine, first).run())
    await publish(stream)
    await until(lambda: len(first) == 1)
    members = {group.name: group.consumers for group in await stream.groups()}
    assert members == {"projected": None}  # it reads by position: a number of members would say nothing
    with pytest.raises(OwnedElsewhere, match="brain groups adopt projected"):
        await projecting(stream, other, second).run()
    assert second == []
    assert list(owned_elsewhere(stream.backend, identify(other).identity)) == ["projected"]

    adopt_groups(stream.backend, other, ["projected"])
    moved = asyncio.create_task(projecting(stream, other, second).run())
    await publish(stream)
    await until(lambda: len(second) == 2)
    with pytest.raises(OwnedElsewhere):
        await running
    moved.cancel()
    await asyncio.wait({moved})


async def test_a_removed_group_belongs_to_nobody(stream: EventStream) -> None:
    backend = stream.backend
    backend.create_group("g", "*", "")
    assert backend.set_owner("g", "a", "") == "a"
    assert backend.set_owner("g", "b", "") == "a"
    assert backend.set_owner("g", "b", "a") == "b"
    backend.drop_group("g")
    assert backend.owners() == {}
