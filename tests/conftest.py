"""Fixtures for all tests: a real Redis shared by the session, emptied for each test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.redis_server import RedisServer


@pytest.fixture(scope="session")
def session_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()


@pytest.fixture
def redis_url(session_redis: RedisServer) -> str:
    """The URL of a real, empty Redis. Tests that kill or freeze a server start one of their own (`redis_server`)."""
    session_redis.flush()
    return session_redis.url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A real Redis of the test's own, with an append-only file, to be killed, frozen and restarted."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, "--appendonly", "yes").start()
    yield server
    server.kill()
