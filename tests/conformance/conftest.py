"""The places that state and events are kept in, for suites that run on each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from brain import EventStream
from brain.store import Store, open_store
from brain.testing import RecordingStream

FOLDER = Path(__file__).parent
RECORDING = "recording"
PAIRS = {("memory", "sqlite"), ("sqlite", "sqlite"), ("redis", "postgresql"), ("cluster", "postgresql")}
"""The places of a stream with the databases that `make test` runs them with: each at least once, none with all."""


@pytest.hookimpl(tryfirst=True)  # before those that are `long` are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `long` what runs on another pair."""
    for item in items:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        pair = params.get("url"), params.get("database")
        if item.path.parent == FOLDER and None not in pair and pair not in PAIRS:
            item.add_marker(pytest.mark.long)


@pytest.fixture(params=["memory", "sqlite", "redis", "cluster"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty place of the kind named by the parameter."""
    if request.param == "memory":
        return "memory://"
    if request.param == RECORDING:  # asked for by the suite of the stream alone
        return RECORDING
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'brain.db'}"
    if request.param == "cluster":
        return str(request.getfixturevalue("redis_cluster").url)
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store at `url`, closed at the end."""
    store = open_store(url)
    yield store
    store.close()


@pytest.fixture
async def stream(url: str, tmp_path: Path) -> AsyncIterator[EventStream]:
    """The stream at `url`, with leases short enough to see them end."""
    if url == RECORDING:
        async with RecordingStream(lease=0.6) as recording:
            yield recording
        return
    async with EventStream.open(url, journal=tmp_path / "journal", lease=0.6) as opened:
        yield opened
