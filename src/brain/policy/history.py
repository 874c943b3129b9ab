"""Versions of the whole rule set: each change is one, kept as what it changed, so that any can be restored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from brain.errors import Conflict, NotFound
from brain.policy.models import Rule
from brain.store import Store

COLLECTION = "policy.versions"
KEPT = 1_000
_ATTEMPTS = 20


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

    number: int
    at: float
    by: str | None
    note: str
    changes: tuple[Change, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "version": self.number,
            "at": self.at,
            "by": self.by,
            "note": self.note,
            "changes": [
                {"old": old.to_dict() if old else None, "new": new.to_dict() if new else None}
                for old, new in self.changes
            ],
        }


class History:
    """The versions in a Store, the newest KEPT of them. Methods raise Unavailable when it does not answer."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def append(self, changes: Iterable[Change], by: str | None, note: str) -> Version:
        """Record what was changed as the next version."""
        for _ in range(_ATTEMPTS):
            newest = self._store.scan(COLLECTION, limit=1, newest_first=True)
            number = int(newest[0].key) + 1 if newest else 1
            version = Version(number, self._clock(), by, note, tuple(changes))
            try:
                self._store.put(COLLECTION, _key(number), msgspec.json.encode(version.to_dict()), expected=0)
            except Conflict:  # another process took the number
                continue
            if number > KEPT:
                self._store.delete(COLLECTION, _key(number - KEPT))
            return version
        raise Conflict("the rules are being changed by many others at once; try again")

    def versions(self, limit: int = 50) -> list[Version]:
        """The newest versions, newest first."""
        found = self._store.scan(COLLECTION, limit=limit, newest_first=True)
        return [_version(document.data) for document in found]

    def rules_at(self, number: int, now: Mapping[str, Rule]) -> dict[str, Rule]:
        """The rules as they were just after version `number`, worked out backwards from the rules `now`.

        Number 0 stands for before the first version. Raises NotFound when it is not kept, or has not been yet.
        """
        later = [_version(document.data) for document in self._store.scan(COLLECTION, start=_key(number + 1))]
        here = self._store.scan(COLLECTION, start=_key(number), limit=1)
        exists = bool(here) and int(here[0].key) == number
        if number < 0 or not (exists or (number == 0 and (not later or later[0].number == 1))):
            raise NotFound(f"there is no version {number}; `brain policy versions` shows those that are kept")
        rules = dict(now)
        for version in reversed(later):
            for old, new in version.changes:
                if new is not None:
                    rules.pop(new.id, None)
                if old is not None:
                    rules[old.id] = old
        return rules


def _key(number: int) -> str:
    return f"{number:012d}"


def _version(data: bytes) -> Version:
    plain = msgspec.json.decode(data)
    changes = tuple(
        Change(*(Rule.from_dict(change[side]) if change[side] else None for side in ("old", "new")))
        for change in plain["changes"]
    )
    return Version(plain["version"], plain["at"], plain["by"], plain["note"], changes)
