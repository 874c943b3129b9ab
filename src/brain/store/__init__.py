"""Where modules keep their state: named collections of JSON documents, each with a version.

One port, three implementations (memory, SQLite, Redis), one conformance suite. Stores are synchronous and thread-safe;
async code calls them through `asyncio.to_thread`. Event storage is the stream's backend, not this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from brain.errors import InvalidInput
from brain.redis_client.url import SCHEMES, masked


class Document(NamedTuple):
    """One stored value. `version` starts at 1 and grows by one with every put of the key."""

    key: str
    version: int
    data: bytes


class Store(Protocol):
    """Documents by collection and key, ordered by the key's Unicode code points.

    Every method raises Unavailable when the storage does not answer; those that take a key raise InvalidInput for an
    empty one and for one that is not writable as UTF-8.
    """

    def get(self, collection: str, key: str) -> Document | None:
        """The document, or None."""

    def put(self, collection: str, key: str, data: bytes, expected: int | None = None) -> int:
        """Store `data` and return its new version.

        `expected` is the version that must be there now (0: the key must be absent; None: whatever is there).
        Raises Conflict when another is.
        """

    def delete(self, collection: str, key: str, expected: int | None = None) -> bool:
        """Remove the key; whether it was there. Raises Conflict as `put` does."""

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        """Documents with key >= `start` in key order (or reversed), at most `limit`."""

    def revision(self, collection: str) -> int:
        """A number that grows with every change of the collection by any process; cheap, made for polling.

        0 for a collection that was never changed. Only its growth means something: it may jump.
        """

    def close(self) -> None:
        """Release connections and files."""


def open_store(url: str) -> Store:
    """The store at `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db` or a Redis URL (docs/redis.md).

    Raises InvalidInput for another scheme, Unavailable when it cannot be reached.
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        from brain.store.memory import MemoryStore

        return MemoryStore()
    if scheme == "sqlite":
        from brain.store.sqlite import SQLiteStore

        return SQLiteStore(url)
    if scheme in SCHEMES:
        from brain.store.redis import RedisStore

        return RedisStore(url)
    raise InvalidInput(
        f"store URL {masked(url)!r}: the scheme must be memory, sqlite, redis or rediss; docs/redis.md shows more"
    )
