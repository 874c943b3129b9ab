"""Documents in this process's memory: the default of a module that was given no store. Gone when the process ends."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from itertools import islice

from brain.store import Document, forking
from brain.store.rules import check_key, check_version


class _Collection:
    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.keys: list[str] = []
        self.revision = 0


class MemoryStore:
    """A Store in memory; thread-safe. A forked child has a copy of its own."""

    def __init__(self) -> None:
        self._lock = forking.ForkLock()
        self._collections: dict[str, _Collection] = {}
        forking.register(self._lock)

    def get(self, collection: str, key: str) -> Document | None:
        check_key(collection, key)
        with self._lock:
            return self._collection(collection).documents.get(key)

    def put(self, collection: str, key: str, data: bytes, expected: int | None = None) -> int:
        check_key(collection, key)
        with self._lock:
            of = self._collection(collection)
            known = of.documents.get(key)
            version = known.version if known else 0
            check_version(collection, key, version, expected)
            if known is None:
                insort(of.keys, key)
            of.documents[key] = Document(key, version + 1, bytes(data))
            of.revision += 1
            return version + 1

    def delete(self, collection: str, key: str, expected: int | None = None) -> bool:
        check_key(collection, key)
        with self._lock:
            of = self._collection(collection)
            known = of.documents.get(key)
            check_version(collection, key, known.version if known else 0, expected)
            if known is None:
                return False
            del of.documents[key]
            del of.keys[bisect_left(of.keys, key)]
            of.revision += 1
            return True

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        with self._lock:
            of = self._collection(collection)
            first = bisect_left(of.keys, start)
            places = range(first, len(of.keys))
            chosen = islice(reversed(places) if newest_first else places, limit)
            return [of.documents[of.keys[place]] for place in chosen]

    def revision(self, collection: str) -> int:
        with self._lock:
            return self._collection(collection).revision

    def close(self) -> None:
        """Nothing to release; the documents stay readable."""

    def _collection(self, name: str) -> _Collection:
        return self._collections.setdefault(name, _Collection())
