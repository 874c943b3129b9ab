"""Sets the place of a store back to what it held before, as a restored backup or an older snapshot does."""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Callable
from typing import Any

import redis

from brain.store import Store
from brain.store.memory import MemoryStore
from brain.store.sqlite import sqlite_path

Rewind = Callable[[], None]


def keep(url: str, store: Store) -> Rewind:
    """Keep what the place holds now; the function brings it back."""
    if isinstance(store, MemoryStore):
        kept = copy.deepcopy(store._collections)
        return lambda: store._collections.update(copy.deepcopy(kept))
    return keep_place(url)


def keep_place(url: str) -> Rewind:
    """The same for all that a file or server holds, events included."""
    return _keep_sqlite(url) if url.startswith("sqlite") else _keep_redis(url)


def empty(url: str, store: Store) -> None:
    """Leave the place without anything."""
    if isinstance(store, MemoryStore):
        store._collections.clear()
    elif url.startswith("sqlite"):
        with sqlite3.connect(sqlite_path(url)) as connection:
            for table in ("documents", "document_revisions", "document_marks", "document_log"):
                connection.execute(f"DELETE FROM {table}")
        connection.close()
    else:
        with redis.Redis.from_url(url) as client:
            client.flushall()


def _keep_sqlite(url: str) -> Rewind:
    kept = sqlite3.connect(":memory:", check_same_thread=False)
    live = sqlite3.connect(sqlite_path(url))
    live.backup(kept)
    live.close()

    def rewind() -> None:
        live = sqlite3.connect(sqlite_path(url))
        kept.backup(live)
        live.close()

    return rewind


def _keep_redis(url: str) -> Rewind:
    with redis.Redis.from_url(url) as client:
        keys: Any = client.keys("*")
        kept: dict[bytes, Any] = {key: client.dump(key) for key in keys}

    def rewind() -> None:
        with redis.Redis.from_url(url) as client, client.pipeline(transaction=True) as together:
            together.flushall()
            for key, value in kept.items():
                together.restore(key, 0, value)
            together.execute()

    return rewind
