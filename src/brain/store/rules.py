"""What all stores do alike: what they refuse, said in the same words, and how a write is worked out."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import count
from typing import NamedTuple

from brain.errors import Conflict, InvalidInput
from brain.platform import at_fork
from brain.store import Document, DocumentChange, Mark, Written


class SingleChanges(ABC):
    """`put`, `delete` and `revision` for a store that has `write` and `mark`."""

    @abstractmethod
    def write(self, changes: Sequence[DocumentChange], joins: Mapping[str, Sequence[Mark]] = {}) -> Written:
        """As Store says."""

    @abstractmethod
    def mark(self, collection: str) -> Mark:
        """As Store says."""

    def put(self, collection: str, key: str, data: bytes, expected: int | None = None) -> int:
        """As Store says."""
        return self.write([DocumentChange(collection, key, data, expected)]).versions[0]

    def delete(self, collection: str, key: str, expected: int | None = None) -> bool:
        """As Store says."""
        return self.write([DocumentChange(collection, key, None, expected)]).versions[0] > 0

    def revision(self, collection: str) -> int:
        """As Store says."""
        return self.mark(collection).revision


def check_key(collection: str, key: str) -> None:
    """Raise InvalidInput for a key that some store could not keep: empty, or not writable as UTF-8."""
    if not key:
        raise InvalidInput(f"key in {collection}: is empty; give a non-empty string")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"key in {collection}: {key!r} cannot be written as UTF-8: {error.reason}") from error


def check_version(collection: str, key: str, found: int, expected: int | None) -> None:
    """Raise Conflict when a caller expects another version than the one found (0: absent)."""
    if expected is None or expected == found:
        return
    wanted = f"version {expected}" if expected else "to be absent"
    present = f"version {found}" if found else "absent"
    raise Conflict(f"{collection}/{key}: expected {wanted}, but it is {present}; read it again and retry")


def by_collection(changes: Sequence[DocumentChange]) -> dict[str, list[DocumentChange]]:
    """The changes of each collection. Raises InvalidInput for a bad key, and for one that is there twice."""
    found: dict[str, dict[str, DocumentChange]] = {}
    for change in changes:
        check_key(change.collection, change.key)
        group = found.setdefault(change.collection, {})
        if change.key in group:
            raise InvalidInput(f"key in {change.collection}: {change.key!r} is there twice in one write")
        group[change.key] = change
    return {collection: list(group.values()) for collection, group in found.items()}


class Planned(NamedTuple):
    """What a write does to one collection: rows to put, keys to remove, and the version that each change results in."""

    puts: Sequence[Document]
    deletes: Sequence[str]
    versions: Mapping[str, int]


def planned(changes: Sequence[DocumentChange], present: Mapping[str, int]) -> Planned:
    """What the changes of one collection come to where keys have these versions now. Raises Conflict."""
    puts: list[Document] = []
    deletes = []
    versions = {}
    for collection, key, data, expected, version in changes:
        found = present.get(key, 0)
        check_version(collection, key, found, expected)
        versions[key] = found
        if data is not None:
            versions[key] = version or found + 1
            puts.append(Document(key, versions[key], data))
        elif found:
            deletes.append(key)
    return Planned(puts, deletes, versions)


class _Tokens:
    """Random once for each process, then counted: asking the system each time lets all other threads go first."""

    def __init__(self) -> None:
        self.renew()
        at_fork(in_child=self.renew)

    def renew(self) -> None:
        self.process, self.number = secrets.token_hex(8), count()


_tokens = _Tokens()


def new_token() -> str:
    """What tells a revision from the same number in another line: no two writes ever have the same."""
    return f"{_tokens.process}{next(_tokens.number):x}"
