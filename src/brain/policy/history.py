"""Versions of a set of rules: each change is one, kept as what it changed, so that any can be restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from brain.errors import InvalidInput, NotFound
from brain.policy.codec import StoredRule, sealed, shortened, trusted_rule, unsealed
from brain.policy.models import Rule
from brain.policy.structs import struct_of
from brain.store import Document, DocumentChange, Store
from brain.typed import ready
from brain.unreadable import FAULTS, readable

VERSIONS = "policy.versions"
KEPT = 1_000


class Change(NamedTuple):
    """One rule before and after; None when it was not there."""

    old: Rule | None
    new: Rule | None

    @property
    def rule(self) -> Rule:
        """The rule as it is now, or was last."""
        rule = self.new or self.old
        assert rule is not None, "a change has a rule before or after"
        return rule


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the rule set: its number, when it came (Unix seconds), by whom, and what it changed."""

    version: Annotated[int, Meta(description="Its number.")]
    at: Annotated[float, Meta(description="When it came, Unix seconds.")]
    by: Annotated[str | None, Meta(description="Who made it.")]
    note: Annotated[str, Meta(description="Why, or on what occasion.")]
    changes: Annotated[tuple[Change, ...], Meta(description="What it changed.")]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        shown = _StoredVersion(self.version, self.at, self.by, self.note, [_StoredChange(*one) for one in self.changes])
        plain: dict[str, Any] = msgspec.to_builtins(shown)
        return plain


_StoredChange: Any = struct_of(Change, "StoredChange", old=StoredRule | None, new=StoredRule | None)
_StoredVersion: Any = struct_of(Version, "StoredVersion", changes=list[_StoredChange])


class History:
    """The versions in a Store, the newest KEPT of them. Methods raise Unavailable when it does not answer."""

    def __init__(self, store: Store, clock: Callable[[], float], collection: str = VERSIONS) -> None:
        self._store = store
        self._clock = clock
        self._collection = collection

    def entry(self, changes: Sequence[Change], by: str | None, note: str) -> list[DocumentChange]:
        """What records these changes as the next version; to be stored in the same step as the changes.

        Storing it raises Conflict when another process took the number: then ask for the entry again.
        """
        newest = self._store.scan(self._collection, limit=1, newest_first=True)
        number = int(newest[0].key) + 1 if newest else 1
        made = msgspec.Raw(_written(changes))
        data = sealed(msgspec.json.encode(_StoredVersion(number, self._clock(), by, note, made)))
        entry = [DocumentChange(self._collection, _key(number), data, expected=0)]
        if number > KEPT:
            entry.append(DocumentChange(self._collection, _key(number - KEPT), None))
        return entry

    def versions(self, limit: int = 50) -> list[Version]:
        """The newest versions, newest first; those that cannot be read are left out."""
        found = self._store.scan(self._collection, limit=limit, newest_first=True)
        return list(readable(self._collection, ((document.key, document) for document in found), _version))

    def rules_at(self, number: int, now: Mapping[str, Rule]) -> dict[str, Rule]:
        """The rules as they were just after version `number`, worked out backwards from the rules `now`.

        Number 0 stands for before the first version. Raises NotFound when it is not kept, or has not been yet, and
        InvalidInput when a later version cannot be read: then nobody knows.
        """
        later = [_readable_version(document) for document in self._store.scan(self._collection, start=_key(number + 1))]
        here = self._store.scan(self._collection, start=_key(number), limit=1)
        exists = bool(here) and int(here[0].key) == number
        if number < 0 or not (exists or (number == 0 and (not later or later[0].version == 1))):
            raise NotFound(f"there is no version {number}; `brain policy versions` shows those that are kept")
        rules = dict(now)
        for version in reversed(later):
            for old, new in version.changes:
                if new is not None:
                    rules.pop(new.id, None)
                if old is not None:
                    rules[old.id] = old
        return rules


def _written(changes: Sequence[Change]) -> bytearray:
    """The changes as a JSON array, written one by one: there may be 100,000, each several times as large in memory."""
    encode = msgspec.json.Encoder().encode_into
    text = bytearray(b"[")
    for old, new in changes:
        encode({"old": old and shortened(old), "new": new and shortened(new)}, text, -1)
        text += b","
    text[max(1, len(text) - 1) :] = b"]"
    return text


def _key(number: int) -> str:
    return f"{number:012d}"


def _readable_version(document: Document) -> Version:
    try:
        return _version(document)
    except FAULTS as error:
        raise InvalidInput(f"version {int(document.key)} cannot be read: {error}; roll back to it or later") from error


def _version(document: Document) -> Version:
    text, trusted = unsealed(document.data)
    if trusted:
        stored = msgspec.json.decode(text, type=ready(_StoredVersion))
        changes = tuple(
            Change(*(None if side is None else trusted_rule(side) for side in (change.old, change.new)))
            for change in stored.changes
        )
        return Version(stored.version, stored.at, stored.by, stored.note, changes)
    plain = msgspec.json.decode(text)
    changes = tuple(
        Change(*(Rule.from_dict(change[side]) if change[side] else None for side in Change._fields))
        for change in plain["changes"]
    )
    return Version(**{**plain, "changes": changes})
