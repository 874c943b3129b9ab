"""Documents in Redis (or Valkey). Every change is one Lua script, so it is atomic among any number of processes.

All keys share a hash tag, the name of the stream, and so live on one shard of a Cluster: a script may only touch one.
A collection is a hash (key -> version and data), with a sorted set beside it that keeps the keys in order, one with its
last revisions' tokens, and one with the keys that were changed of late.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar, cast

from brain.errors import Unavailable
from brain.redis_client.connect import connect
from brain.redis_client.errors import named_errors
from brain.redis_client.url import parse
from brain.store import Document, DocumentChange, Mark, Reading, Step, Written, forking
from brain.store.redis_scripts import PARTS, READ, SCAN, STAGE, WHOLE, WRITE
from brain.store.rules import SingleChanges, by_collection, check_key, check_version, new_token

REPLY_TIMEOUT = 2.0
"""Seconds before a silent server means Unavailable. The URL may say otherwise: `?socket_timeout=0.5`."""

T = TypeVar("T")

_CHUNK = 1_000
_STAGED = 500
"""A write of more changes is sent by pieces to a list of its own, and made in one step when all are there."""
_QUIET_READS = 3  # attempts to read a collection by pieces while nobody changes it


class RedisStore(SingleChanges, forking.Part):
    """A Store in the Redis at `url`. Raises InvalidInput for a bad URL, Unavailable when the server does not answer.

    After Unavailable a change may or may not have happened: read again before repeating it.
    """

    def __init__(self, url: str) -> None:
        self._place = parse(url)
        self._prefix = f"{{{self._place.stream}}}:store"
        self._connect()
        forking.register(self)
        with self._named_errors():
            self._client.ping()

    def get(self, collection: str, key: str) -> Document | None:
        check_key(collection, key)
        with self._named_errors():
            found = cast(bytes | None, self._client.hget(self._key("data", collection), key))
        return None if found is None else _document(key.encode(), found)

    def write(self, changes: Sequence[DocumentChange], joins: Mapping[str, Sequence[Mark]] = {}) -> Written:
        names = list({**by_collection(changes), **joins})
        header: dict[str, Any] = {
            "count": len(changes),
            "staged": len(changes) > _STAGED,
            "collections": [
                {"name": name, "token": new_token(), "joins": [[str(mark[0]), mark[1]] for mark in joins.get(name, ())]}
                for name in names
            ],
        }
        staging = f"{self._prefix}:staging:{new_token()}"
        keys = [f"{self._prefix}:revisions", staging]
        keys += [self._key(part, name) for name in names for part in ("data", "keys", "marks", "log")]
        # Staging takes the parts away, so that none is left to go with the script.
        parts = _parts(changes, {name: place for place, name in enumerate(names, 1)})
        with self._named_errors():
            if header["staged"]:
                for some in _batched(parts, PARTS * 200):
                    self._stage([staging], some)
            outcome, *rest = cast(Any, self._write(keys, [json.dumps(header), *parts]))
        if outcome == b"conflict":
            place, version = rest
            refused = changes[place - 1]
            check_version(refused.collection, refused.key, version, refused.expected)
        if outcome != b"written":
            raise Unavailable(
                f"{self._place.where} lost the changes while they were sent; nothing was changed, try again"
            )
        versions, steps = rest
        return Written(versions, {name: _step(step) for name, step in zip(names, steps, strict=True)})

    def read(self, collection: str, since: Mark | None = None) -> Reading:
        known = since if since is not None else ("", "")
        keys = [f"{self._prefix}:revisions", *(self._key(part, collection) for part in ("data", "marks", "log"))]
        for _ in range(_QUIET_READS):
            with self._named_errors():
                at, kind, found, *rest = cast(Any, self._read(keys, [collection, *known]))
            mark, marks = _mark(at), [Mark(int(float(score)), token.decode()) for token, score in _batched(found, 2)]
            if kind == b"same":
                return Reading(mark, continues=True, whole=False)
            if kind == b"changes":
                pairs = list(zip(*rest, strict=True))
                documents = [_document(key, data) for key, data in pairs if data is not None]
                return Reading(
                    mark, True, False, documents, [key.decode() for key, data in pairs if data is None], marks
                )
            everything = self.scan(collection)
            if self.mark(collection) == mark:
                return Reading(mark, kind == b"whole", True, everything, marks=marks)
        return self._read_at_once(collection, kind == b"whole", marks)

    def _read_at_once(self, collection: str, continues: bool, marks: Sequence[Mark]) -> Reading:
        """The collection by one script, for which the server stops everything else: nobody can come in between."""
        keys = [f"{self._prefix}:revisions", self._key("data", collection)]
        with self._named_errors():
            at, found = cast(Any, self._whole(keys, [collection]))
        documents = [_document(key, data) for key, data in _batched(found, 2)]
        mark = _mark(at)
        return Reading(mark, continues, True, sorted(documents), marks=[*marks, *([mark] if mark.token else [])])

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        """As the port says; read by the thousand, so a long scan never holds the server up and is not one snapshot."""
        documents: list[Document] = []
        command = "ZREVRANGEBYLEX" if newest_first else "ZRANGEBYLEX"
        low: bytes = b"[" + start.encode() if start else b"-"
        high = b"+"
        of = [self._key("data", collection), self._key("keys", collection)]
        while limit is None or len(documents) < limit:
            size = _CHUNK if limit is None else min(_CHUNK, limit - len(documents))
            bounds = (high, low) if newest_first else (low, high)
            with self._named_errors():
                keys, found = cast(tuple[list[bytes], list[bytes]], self._scan(of, [command, *bounds, size]))
            documents += map(_document, keys, found)
            if len(keys) < size:
                break
            if newest_first:
                high = b"(" + keys[-1]
            else:
                low = b"(" + keys[-1]
        return documents

    def mark(self, collection: str) -> Mark:
        with self._named_errors():
            found = self._client.hmget(f"{self._prefix}:revisions", [collection, f"{collection}\0token"])
        return _mark([value or b"" for value in cast(Sequence[bytes | None], found)])

    def close(self) -> None:
        self._client.close()

    def after_fork_in_child(self) -> None:
        """Use sockets of this process's own, and none of the parent's locks; the parent's sockets stay connected."""
        self._connect()

    def _connect(self) -> None:
        # Nothing is tried twice: a change that timed out may have been made, and would meet its own traces.
        self._client = connect(self._place, REPLY_TIMEOUT)
        script = self._client.register_script
        self._scan, self._read, self._whole = script(SCAN), script(READ), script(WHOLE)
        self._write, self._stage = script(WRITE), script(STAGE)

    def _named_errors(self) -> AbstractContextManager[None]:
        return named_errors(self._place)

    def _key(self, part: str, collection: str) -> str:
        return f"{self._prefix}:{part}:{collection}"


def _parts(changes: Sequence[DocumentChange], places: Mapping[str, int]) -> Iterator[bytes | str | int]:
    for collection, key, data, expected, version in changes:
        yield places[collection]
        yield key
        yield "" if expected is None else expected
        yield "" if version is None else version
        yield b"-" if data is None else b"+" + data


def _batched(values: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    left = iter(values)
    while some := tuple(islice(left, size)):
        yield some


def _document(key: bytes, stored: bytes) -> Document:
    version, _, data = stored.partition(b":")
    return Document(key.decode(), int(version), data)


def _mark(found: Sequence[bytes]) -> Mark:
    return Mark(int(found[0] or 0), found[1].decode())


def _step(found: Sequence[bytes]) -> Step:
    return Step(_mark(found[:2]), _mark(found[2:]))
