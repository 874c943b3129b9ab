"""The places that state is kept in, for suites that run on several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brain.store import Store, open_store


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of the kind named by the parameter: memory, sqlite or redis."""
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'brain.db'}"
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store at `url`, closed at the end."""
    store = open_store(url)
    yield store
    store.close()
