"""What a process knows of a collection, kept equal to the store; and back into the store when that has lost it.

A store can come back with less than its readers know: Redis started from an older snapshot or from nothing, a failover
to a replica that had not received the last writes. docs/decisions/0010-memory-does-not-go-back.md
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import islice, zip_longest
from typing import NamedTuple

from brain.errors import Conflict, Unavailable
from brain.logs import Log
from brain.store import MARKS_KEPT, Document, DocumentChange, Mark, Reading, Step, Store, Written

log: Log = Log("brain.store")

GONE_KEPT = 1_000
"""How many deleted documents are remembered, to be known again when a store brings them back."""
RETRY_SECONDS = 1.0
"""Between two attempts to write back what a store has lost while it takes no writes."""


class Look(NamedTuple):
    """What is different since the look before: documents new or changed, and keys gone."""

    documents: Mapping[str, Document]
    deleted: Sequence[str]


class Restoration(NamedTuple):
    """What is written back to a store: documents that it had lost, deletions that it had lost, and what it had
    instead of them, by key."""

    documents: Mapping[str, Document]
    deleted: Sequence[str]
    instead: Mapping[str, Document]


Entries = Callable[[Restoration], Sequence[DocumentChange]]
"""What the owner of a mirror stores in the same step as a restoration, such as its history's entry."""


class Mirror:
    """One collection as this process knows it: `documents` by key. Not thread-safe: its owner's lock is held.

    With a `limit`, only so many of the documents changed last are remembered, and none is deleted again. `beside` holds
    what the store says while it has lost some of `documents` and they are not written back yet, else None: until then
    the owner must let the stricter of both hold. `restored` is called after each restoration.
    """

    def __init__(
        self,
        store: Store,
        collection: str,
        *,
        limit: int | None = None,
        entries: Entries = lambda _: (),
        restored: Callable[[Restoration], None] = lambda _: None,
    ) -> None:
        self.documents: dict[str, Document] = {}
        self.beside: Mapping[str, Document] | None = None
        self.losses: int = 0
        """How often the store came back with less than is known here."""
        self._store = store
        self._collection = collection
        self._limit = limit
        self._entries = entries
        self._restored = restored
        self._gone: dict[str, Document] = {}  # the documents deleted last, as they were
        self._mark: Mark | None = None
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._lost_at: Mark | None = None
        self._retry_at = 0.0

    def look(self) -> Look | None:
        """What is new in the store since the last look; None when nothing is. The first look finds all there is.

        Raises Unavailable when the store does not answer, or does not take back what it has lost (see `beside`).
        """
        if self.beside is not None and self._must_wait():
            return None
        reading = self._store.read(self._collection, self._mark, self._limit)
        if self._mark is None or reading.continues:
            self.beside = None
            return self._follow(reading)
        if self._limit is not None:  # what was lost is found beside all that there is
            reading = self._store.read(self._collection, self._mark)
        return self._follow(reading) if reading.continues else self._restore(reading)

    def wrote(self, changes: Sequence[DocumentChange], written: Written) -> None:
        """Take over what the owner has written itself: `changes` are the first of that write, or all.

        Those of other collections are passed over.
        """
        for change, version, kept in zip_longest(changes, written.versions, written.documents):
            if change is None:
                break
            if change.collection != self._collection:
                continue
            self._remove(change.key)
            if change.data is not None:
                made = Document(change.key, version, change.data)
                self.documents[change.key] = kept if kept == made else made
        step = written.steps[self._collection]
        self._forget_oldest()
        if step.before == self._mark:  # else others wrote too, which the next look finds
            self._mark = step.after
            self._marks.append(step.after)

    def _follow(self, reading: Reading) -> Look | None:
        changed = {one.key: one for one in reading.documents if self.documents.get(one.key) != one}
        deleted = [key for key in reading.deleted if key in self.documents]
        if reading.whole and self._limit is None and len(self.documents) + len(changed) > len(reading.documents):
            present = {one.key for one in reading.documents}
            deleted = [key for key in self.documents if key not in present]
        self._know(reading.mark, reading.marks)
        return self._apply(changed, deleted)

    def _know(self, mark: Mark, marks: Sequence[Mark]) -> None:
        self._mark = mark
        self._marks.extend(marks)

    def _apply(self, changed: Mapping[str, Document], deleted: Sequence[str]) -> Look | None:
        for key in (*deleted, *changed):
            self._remove(key)
        self.documents.update(changed)
        self._forget_oldest()
        return Look(changed, deleted) if changed or deleted else None

    def _remove(self, key: str) -> None:
        if key in self.documents:
            self._gone.pop(key, None)
            self._gone[key] = self.documents.pop(key)

    def _forget_oldest(self) -> None:
        for kept, limit in ((self.documents, self._limit), (self._gone, GONE_KEPT)):
            if limit is not None and len(kept) > limit:
                for key in list(islice(kept, len(kept) - limit)):
                    del kept[key]

    def _must_wait(self) -> bool:
        """Whether the store is as it was at the last attempt to restore it, which was a moment ago."""
        return time.monotonic() < self._retry_at and self._store.mark(self._collection) == self._lost_at

    def _restore(self, reading: Reading) -> Look | None:
        """Write back what the store has lost; what is different from before is what others wrote there meanwhile."""
        theirs = {one.key: one for one in reading.documents}
        restoration = self._lost(theirs, self._changed_there(reading))
        if self.beside is None:
            self.losses += 1
            log.warning(
                "the store came back with less than is known here; writing it back",
                collection=self._collection,
                documents=len(restoration.documents),
                deletions=len(restoration.deleted),
                known=self._mark,
                found=reading.mark,
                times=self.losses,
            )
        self.beside, self._lost_at, self._retry_at = theirs, reading.mark, time.monotonic() + RETRY_SECONDS
        step = self._write_back(restoration, reading)
        if step is None:
            return None
        self.beside = None
        known = {**theirs, **restoration.documents}
        gone = set(restoration.deleted)
        changed = {key: one for key, one in known.items() if key not in gone and self.documents.get(key) != one}
        deleted = [key for key in self.documents if key not in known] if self._limit is None else []
        # Whatever came in between the reading and the writing is found by the next look.
        self._know(step.after if step.before == reading.mark else reading.mark, [*reading.marks, step.after])
        if restoration.documents or restoration.deleted:
            self._restored(restoration)
        return self._apply(changed, deleted)

    def _write_back(self, restoration: Restoration, reading: Reading) -> Step | None:
        """Make the restoration; None when another process was quicker, and the next look must read again."""
        if not restoration.documents and not restoration.deleted:
            return Step(reading.mark, reading.mark)
        instead = restoration.instead
        changes = [
            DocumentChange(self._collection, key, one.data, instead[key].version if key in instead else 0, one.version)
            for key, one in restoration.documents.items()
        ]
        changes += [DocumentChange(self._collection, key, None, instead[key].version) for key in restoration.deleted]
        found = set(reading.marks)
        joins = [mark for mark in self._marks if mark.token and mark not in found]
        try:
            written = self._store.write([*changes, *self._entries(restoration)], {self._collection: joins})
        except Conflict:
            self._retry_at = 0.0
            return None
        except Unavailable as error:
            log.error("the store does not take back what it lost", collection=self._collection, error=str(error))
            raise
        return written.steps[self._collection]

    def _changed_there(self, reading: Reading) -> Set[str] | None:
        """The keys that the store's line has changed since it parted from the one known here; None: not known."""
        found = set(reading.marks)
        common = next((mark for mark in reversed(self._marks) if mark in found), None)
        if common is None:
            return None
        if common == reading.mark:
            return frozenset()
        branch = self._store.read(self._collection, common)
        if branch.whole or branch.mark != reading.mark:
            return None
        return {*branch.deleted, *(one.key for one in branch.documents)}

    def _lost(self, theirs: Mapping[str, Document], changed_there: Set[str] | None) -> Restoration:
        """What the store has lost of what is known here.

        A document that was changed there since, to a higher version, stands; so do deletions, and documents that are
        new there. Where it is not known what was changed there, what is here and not there was lost, and so were the
        deletions that were seen here.
        """
        back: dict[str, Document] = {}
        for key, ours in self.documents.items():
            other = theirs.get(key)
            changed = key in changed_there if changed_there is not None else other is not None
            if other is None:
                if not changed:
                    back[key] = ours
            elif other.data != ours.data and (not changed or other.version <= ours.version):
                back[key] = ours._replace(version=max(ours.version, other.version + 1))
        more = [key for key in theirs if key not in self.documents] if self._limit is None else []
        if changed_there is not None:
            gone = [key for key in more if key not in changed_there]
        else:
            gone = [key for key in more if key in self._gone and self._gone[key].data == theirs[key].data]
        return Restoration(back, gone, {key: theirs[key] for key in (*back, *gone) if key in theirs})
