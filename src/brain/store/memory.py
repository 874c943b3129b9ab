"""Documents in this process's memory: the default of a module that was given no store. Gone when the process ends."""

from __future__ import annotations

import zlib
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice, takewhile

from brain.store import (
    LOGGED_CHANGES,
    MARKS_KEPT,
    START,
    UNFOLLOWED,
    Document,
    DocumentChange,
    Mark,
    Reading,
    Step,
    Written,
    forking,
)
from brain.store.rules import Planned, SingleChanges, by_collection, check_key, new_token, planned

_LARGE = 65_536
"""Bytes from which on a document is packed, such as the version of 100,000 rules; that is seldom read."""


class _Packed(bytes):
    """A document's data, compressed."""


def _packed(document: Document) -> Document:
    data = document.data
    return document._replace(data=_Packed(zlib.compress(data, 1))) if len(data) >= _LARGE else document


def _unpacked(document: Document) -> Document:
    data = document.data
    return document._replace(data=zlib.decompress(data)) if type(data) is _Packed else document


class _Collection:
    def __init__(self, followed: bool) -> None:
        self._followed = followed
        self.documents: dict[str, Document] = {}
        self.keys: list[str] = []
        self.mark = START
        self.marks: deque[tuple[Mark, Sequence[str] | None]] = deque(maxlen=MARKS_KEPT)
        """The last revisions with the keys that each changed; None when those are not kept."""

    def apply(self, plan: Planned, joins: Sequence[Mark]) -> Step:
        before = self.mark
        for one in plan.puts:
            if one.key not in self.documents:
                insort(self.keys, one.key)
            self.documents[one.key] = _packed(one)
        for key in plan.deletes:
            del self.documents[key]
            del self.keys[bisect_left(self.keys, key)]
        changed = [*(key for key, _, _ in plan.puts), *plan.deletes]
        if not self._followed or not (changed or joins):
            return Step(before, before)
        self.marks.extend((mark, None) for mark in joins)
        self.mark = Mark(max(before.revision, *(mark.revision for mark in joins), 0) + 1, new_token())
        self.marks.append((self.mark, None if joins or len(changed) > LOGGED_CHANGES else changed))
        return Step(before, self.mark)

    def since(self, since: Mark | None) -> Reading:
        if since == self.mark:
            return Reading(self.mark, continues=True, whole=False)
        later = list(takewhile(lambda one: one[0] != since, reversed(self.marks)))[::-1]
        marks = [mark for mark, _ in later]
        if since is None or (since != START and len(later) == len(self.marks)):
            return Reading(self.mark, False, True, self._ordered(), marks=marks)
        keys: dict[str, None] = {}
        for _, changed in later:
            if changed is None:
                return Reading(self.mark, True, True, self._ordered(), marks=marks)
            keys.update(dict.fromkeys(changed))
        documents = [_unpacked(self.documents[key]) for key in keys if key in self.documents]
        return Reading(self.mark, True, False, documents, [key for key in keys if key not in self.documents], marks)

    def _ordered(self) -> Sequence[Document]:
        return [_unpacked(self.documents[key]) for key in self.keys]


class MemoryStore(SingleChanges):
    """A Store in memory; thread-safe. A forked child has a copy of its own."""

    def __init__(self) -> None:
        self._lock = forking.ForkLock()
        self._collections: dict[str, _Collection] = {}
        forking.register(self._lock)

    def get(self, collection: str, key: str) -> Document | None:
        """As Store says."""
        check_key(collection, key)
        with self._lock:
            found = self._collection(collection).documents.get(key)
        return None if found is None else _unpacked(found)

    def write(self, changes: Sequence[DocumentChange], joins: Mapping[str, Sequence[Mark]] = {}) -> Written:
        """As Store says."""
        groups = by_collection(changes)
        with self._lock:
            plans = {}
            for name in {**groups, **joins}:
                documents, group = self._collection(name).documents, groups.get(name, [])
                plans[name] = planned(
                    group, {one.key: documents[one.key].version for one in group if one.key in documents}
                )
            steps = {name: self._collection(name).apply(plan, joins.get(name, ())) for name, plan in plans.items()}
            kept = [self._collections[one.collection].documents.get(one.key) for one in changes]
        return Written([plans[one.collection].versions[one.key] for one in changes], steps, kept)

    def read(self, collection: str, since: Mark | None = None, last: int | None = None) -> Reading:
        """As Store says."""
        with self._lock:
            found = self._collection(collection).since(since)
        return found._replace(documents=found.documents[-last:]) if last and found.whole else found

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        """As Store says."""
        with self._lock:
            of = self._collection(collection)
            first = bisect_left(of.keys, start)
            places = range(first, len(of.keys))
            chosen = islice(reversed(places) if newest_first else places, limit)
            return [_unpacked(of.documents[of.keys[place]]) for place in chosen]

    def mark(self, collection: str) -> Mark:
        """As Store says."""
        with self._lock:
            return self._collection(collection).mark

    def close(self) -> None:
        """Nothing to release; the documents stay readable."""

    def _collection(self, name: str) -> _Collection:
        if name not in self._collections:
            self._collections[name] = _Collection(name not in UNFOLLOWED)
        return self._collections[name]
