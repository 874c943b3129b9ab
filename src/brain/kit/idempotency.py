"""What is created under a key is created once, however often it is asked for.

A creating method of a service takes `key=`: any text that stands for the one request. The id of what it makes follows
from the key, or is kept beside it, so that the same call again finds the first thing and gives it back. Over HTTP the
key is `request_key()`, which stands for the request's `Idempotency-Key`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from typing import Any

import msgspec

from brain import limits
from brain.errors import Conflict, InvalidInput
from brain.store import DocumentChange, Store
from brain.typed import ready
from brain.unreadable import read_or_none

__all__ = [
    "CreatedKeys",
    "check_key",
    "content_digest",
    "digest_of",
    "other_content",
    "request_key",
    "token_for",
    "using_key",
]

_DELETED_AT_ONCE = 500
_present: ContextVar[str | None] = ContextVar("brain_request_key", default=None)


def request_key() -> str | None:
    """What stands for the `Idempotency-Key` of the HTTP request that is being answered, its method and its path.

    None for a request without one. A route passes it on as the `key=` of a service.
    """
    return _present.get()


@contextmanager
def using_key(key: str) -> Iterator[None]:
    """Let `request_key()` be `key` inside of this block."""
    token = _present.set(key)
    try:
        yield
    finally:
        _present.reset(token)


def check_key(key: str | None) -> None:
    """Raise InvalidInput unless it is None or a text of 1 to 255 characters."""
    if key is None:
        return
    if not isinstance(key, str) or not 0 < len(key) <= limits.KEY or not limits.is_text(key):
        raise InvalidInput(f"key: {limits.shown(key)} is no key; give 1 to {limits.KEY} characters of text")


def digest_of(kind: str, key: str) -> str:
    """64 hex digits for this key, other ones for every kind of thing. Raises InvalidInput for a bad key."""
    check_key(key)
    return sha256(f"{kind}\0{key}".encode()).hexdigest()


def token_for(kind: str, key: str | None, digits: int = 16) -> str:
    """Hex digits for a new id: random without a key, else always the same for the key. Raises InvalidInput."""
    return secrets.token_hex(digits // 2) if key is None else digest_of(kind, key)[:digits]


def content_digest(*content: Any) -> str:
    """What tells whether two requests ask for the same: equal for equal JSON values, whatever their keys' order."""
    return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:32]


def other_content(made: str) -> Conflict:
    """The error of a key that stands for another request already; `made` is what came of that."""
    return Conflict(f"key: it made {made} from other content already; take a new key for every new request")


class _Created(msgspec.Struct, frozen=True):
    id: str
    content: str


_decode = msgspec.json.Decoder(ready(_Created)).decode


class CreatedKeys:
    """Which key created what, in a collection of its own: for things whose ids are given otherwise.

    The ids must sort in order of age, so that keys are forgotten with what they made. Raises what Store raises.
    """

    def __init__(self, store: Store, collection: str) -> None:
        self._store = store
        self._collection = collection

    def find(self, key: str | None, content: str) -> str | None:
        """The id that was created under this key, or None. Raises Conflict when it has other content."""
        if key is None:
            return None
        document = self._store.get(self._collection, digest_of(self._collection, key))
        if document is None:
            return None
        created = msgspec.json.decode(document.data, type=ready(_Created))
        if created.content != content:
            raise other_content(created.id)
        return created.id

    def changes(self, key: str | None, id: str, content: str) -> list[DocumentChange]:
        """To be made in one write with the creation, which raises Conflict when another with this key was quicker."""
        if key is None:
            return []
        data = msgspec.json.encode(_Created(id, content))
        return [DocumentChange(self._collection, digest_of(self._collection, key), data, expected=0)]

    def forget(self, before: str) -> None:
        """Delete the keys of all ids that sort before this one; those that cannot be read stay. Reads the whole
        collection."""
        old = [
            DocumentChange(self._collection, document.key, None)
            for document in self._store.scan(self._collection)
            if (made := read_or_none(self._collection, document.key, document.data, _decode)) is not None
            and made.id < before
        ]
        for start in range(0, len(old), _DELETED_AT_ONCE):
            self._store.write(old[start : start + _DELETED_AT_ONCE])
