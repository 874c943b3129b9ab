"""Where modules keep their state: named collections of JSON documents, each with a version.

One port, three implementations (memory, SQLite, Redis), one conformance suite. Stores are synchronous and thread-safe;
async code calls them through `asyncio.to_thread`. Event storage is the stream's backend, not this.
docs/decisions/0009-whole-sets.md says why the port is as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from brain.errors import InvalidInput
from brain.extras import needs
from brain.redis_client.url import SCHEMES, checked_text, masked

__all__ = ["Document", "DocumentChange", "Reading", "Step", "Store", "Written", "open_store"]

MARKS_KEPT = 10_000
"""How many of a collection's last revisions a store can tell from those of another line."""
LOGGED_CHANGES = 100
"""A write of more changes than this to a collection is read as a whole by those that follow it."""


UNFOLLOWED = frozenset(
    {
        "access.logins",
        "access.nonces",
        "access.sessions",
        "access.uses",
        "events.outbox",
        "http.idempotency",
        "http.idempotency.started",
        "immune.keys",
        "policy.approvals.keys",
        "policy.requests",
    }
)
"""Collections that nobody follows: their documents come and go with nearly every write, and they have no revisions."""


class Document(NamedTuple):
    """One stored value. `version` starts at 1 and grows by one with every put of the key."""

    key: str
    version: int
    data: bytes


class DocumentChange(NamedTuple):
    """One put of a document, or with `data` None its deletion.

    `expected` is the version that must be there now (0: the key must be absent; None: whatever is there). `version` is
    what the document gets instead of one more than it has; for those that write back what a store has lost.
    """

    collection: str
    key: str
    data: bytes | None
    expected: int | None = None
    version: int | None = None


class Mark(NamedTuple):
    """One revision of a collection, and the random token of the write that made it.

    Two stores, or a store and its older copy, may count to the same revision, but not with the same token. The token is
    empty for revision 0 (nothing was ever written) and for what versions of this package before tokens wrote.
    """

    revision: int
    token: str


START = Mark(0, "")


class Step(NamedTuple):
    """The revisions of a collection just before and just after a write; the same when nothing was changed."""

    before: Mark
    after: Mark


class Written(NamedTuple):
    """What a write did: for each change, in order, the new version (of a deletion: the version that was there, 0 for
    none); for each collection its step.

    `documents` are those that a store keeps in this process, for each change (of a deletion: None), so that who mirrors
    them need not have them twice; of another store it is empty.
    """

    versions: Sequence[int]
    steps: Mapping[str, Step]
    documents: Sequence[Document | None] = ()


class Reading(NamedTuple):
    """A collection at one revision, `mark`, for a reader that knew it at another.

    `continues`: the store has the revision that the reader knew. When it has not, the store came back with less than
    the reader knows, or others. `whole`: `documents` are all there are, and `deleted` is empty; else both hold only
    what changed since. `marks` are the revisions since then, oldest first, as far as they are kept.
    """

    mark: Mark
    continues: bool
    whole: bool
    documents: Sequence[Document] = ()
    deleted: Sequence[str] = ()
    marks: Sequence[Mark] = ()


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

    def write(self, changes: Sequence[DocumentChange], joins: Mapping[str, Sequence[Mark]] = {}) -> Written:
        """Make all the changes, of one or several collections, in one step that readers see whole or not at all.

        `joins` names, by collection, revisions of another line whose state these changes take up: a reader that knows
        one of them finds that the store goes on from it. Raises Conflict, with nothing changed, when a version is not
        the expected one; InvalidInput when a key is there twice.
        """

    def read(self, collection: str, since: Mark | None = None, last: int | None = None) -> Reading:
        """The collection at one revision: all of it, or what changed since the revision that the caller knows.

        With `last`, of all of it only so many documents: those with the last keys.
        """

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        """Documents with key >= `start` in key order (or reversed), at most `limit`.

        A long scan may see changes that are made meanwhile; `read` does not.
        """

    def mark(self, collection: str) -> Mark:
        """The collection's present revision; cheap, made for polling."""

    def revision(self, collection: str) -> int:
        """The number of the present revision: it grows with every change of the collection by any process.

        0 for a collection that was never changed, and for those in UNFOLLOWED. Only its growth means something: it may
        jump.
        """

    def close(self) -> None:
        """Release connections and files."""


def open_store(url: str) -> Store:
    """The store at `memory://`, `sqlite:///relative.db`, `sqlite:////absolute.db` or a Redis URL (docs/redis.md).

    Raises InvalidInput for another scheme, MissingExtra without redis-py, Unavailable when it cannot be reached.
    """
    scheme = checked_text(url, "store").partition("://")[0]
    if scheme == "memory":
        from brain.store.memory import MemoryStore

        return MemoryStore()
    if scheme == "sqlite":
        from brain.store.sqlite import SQLiteStore

        return SQLiteStore(url)
    if scheme in SCHEMES:
        with needs("a store on Redis", "redis"):
            from brain.store.redis import RedisStore

        return RedisStore(url)
    raise InvalidInput(
        f"store URL {masked(url)!r}: the scheme must be memory, sqlite, redis or rediss; docs/redis.md shows more"
    )
