"""A stream on each backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brain import EventStream


@pytest.fixture(params=["memory", "sqlite", "redis"])
def stream_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/stream.db"


@pytest.fixture
async def stream(stream_url: str, tmp_path: Path) -> AsyncIterator[EventStream]:
    async with EventStream.open(stream_url, journal=tmp_path / "journal", lease=0.6) as opened:
        yield opened
