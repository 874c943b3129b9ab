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
from brain.store import UNFOLLOWED, Document, DocumentChange, Mark, Reading, Step, Written, forking
from brain.store.closing import Closable
from brain.store.redis_scripts import COPY, FILL, PARTS, READ, SCAN, STAGE, VERSIONS, WHOLE, WRITE
from brain.store.rules import SingleChanges, by_collection, check_key, check_version, new_token, planned
from brain.store.schema import newer_schema

SCHEMA = 1
"""The version of the keys. The first is not stored; a later one is, in the field `version` of the key `...:schema`."""

REPLY_TIMEOUT = 2.0
"""Seconds before a silent server means Unavailable. The URL may say otherwise: `?socket_timeout=0.5`."""

T = TypeVar("T")

_CHUNK = 1_000
_STAGED = 500
"""A write of more changes is sent by pieces to a list of its own, and made in one step when all are there."""
_QUIET_TRIES = 3  # attempts to change a copy of a collection while nobody changes the collection
_QUIET_READS = 3  # attempts to read a collection by pieces while nobody changes it


class RedisStore(SingleChanges, Closable, forking.Part):
    """A Store in the Redis at `url`.

    Raises InvalidInput for a bad URL, Unavailable when the server does not answer, NewerSchema.

    After Unavailable a change may or may not have happened: read again before repeating it.
    """

    def __init__(self, url: str) -> None:
        self._place = parse(url)
        self._prefix = f"{{{self._place.stream}}}:store"
        self._connect()
        forking.register(self)
        with self._named_errors():
            self._client.ping()
            stored = cast(bytes | None, self._client.hget(f"{self._prefix}:schema", "version"))
        if int(stored or SCHEMA) > SCHEMA:
            raise newer_schema(self._place.where, "store", int(stored or 0), SCHEMA)

    def get(self, collection: str, key: str) -> Document | None:
        """As Store says."""
        check_key(collection, key)
        with self._named_errors():
            found = cast(bytes | None, self._client.hget(self._key("data", collection), key))
        return None if found is None else _document(key.encode(), found)

    def write(self, changes: Sequence[DocumentChange], joins: Mapping[str, Sequence[Mark]] = {}) -> Written:
        """As the port says. Many changes of a collection are made to a copy by pieces, which then takes its place."""
        groups = by_collection(changes)
        many = next((name for name, of in groups.items() if len(of) > _STAGED and _all_expected(of)), None)
        for _ in range(_QUIET_TRIES if many is not None else 0):
            written = self._write_by_switch(cast(str, many), groups, changes, joins)
            if written is not None:
                return written
        outcome, *rest = self._run_write(list({**groups, **joins}), changes, joins, len(changes) > _STAGED)
        if outcome != b"written":
            raise Unavailable(f"{self._place.where} lost the changes while they came; nothing is changed, try again")
        return Written(rest[0], rest[1])

    def _write_by_switch(
        self,
        many: str,
        groups: Mapping[str, Sequence[DocumentChange]],
        changes: Sequence[DocumentChange],
        joins: Mapping[str, Sequence[Mark]],
    ) -> Written | None:
        """The server stops for moments only. None when another changed the collection meanwhile."""
        names = list({**groups, **joins})
        at = self.mark(many)
        copies = [f"{self._prefix}:staging:{new_token()}:{part}" for part in ("data", "keys")]
        of = [self._key(part, many) for part in ("data", "keys")]
        plan = planned(groups[many], self._versions(many, groups[many]))
        with self._named_errors():
            self._copy([*of, *copies])
            for puts in _batched(plan.puts, _CHUNK // 4):
                values = [part for key, version, data in puts for part in (key, b"%d:%b" % (version, data))]
                self._fill(copies, [len(puts), *values])
            for some in _batched(plan.deletes, _CHUNK):
                self._fill(copies, [0, *some])
        grows = sum(one.data is not None and one.expected == 0 for one in groups[many]) - len(plan.deletes)
        switch = {"collection": names.index(many) + 1, "revision": str(at.revision), "token": at.token, "grows": grows}
        others = [one for one in changes if one.collection != many]
        outcome, *rest = self._run_write(names, others, joins, False, switch, copies)
        if outcome != b"written":
            return None
        versions = iter(rest[0])
        made = [plan.versions[one.key] if one.collection == many else next(versions) for one in changes]
        return Written(made, rest[1])

    def _versions(self, collection: str, changes: Sequence[DocumentChange]) -> dict[str, int]:
        found: dict[str, int] = {}
        for some in _batched([change.key for change in changes], _CHUNK):
            with self._named_errors():
                found.update(zip(some, cast(list[int], self._find([self._key("data", collection)], some)), strict=True))
        return found

    def _run_write(
        self,
        names: Sequence[str],
        changes: Sequence[DocumentChange],
        joins: Mapping[str, Sequence[Mark]],
        staged: bool,
        switch: Mapping[str, Any] | None = None,
        copies: Sequence[str] = (),
    ) -> list[Any]:
        """The outcome of the script, with versions and steps when it has written. Raises Conflict."""
        collections = [
            {
                "name": name,
                "followed": name not in UNFOLLOWED,
                "token": new_token(),
                "joins": [[str(mark[0]), mark[1]] for mark in joins.get(name, ())],
            }
            for name in names
        ]
        header = {"count": len(changes), "staged": staged, "collections": collections}
        header |= {"switch": switch} if switch is not None else {}
        staging = f"{self._prefix}:staging:{new_token()}"
        keys = [f"{self._prefix}:revisions", staging]
        keys += [self._key(part, name) for name in names for part in ("data", "keys", "marks", "log")]
        # Staging takes the parts away, so that none is left to go with the script.
        parts = _parts(changes, {name: place for place, name in enumerate(names, 1)})
        with self._named_errors():
            if staged:
                for some in _batched(parts, PARTS * 200):
                    self._stage([staging], some)
            outcome, *rest = cast(Any, self._write([*keys, *copies], [json.dumps(header), *parts]))
        if outcome == b"conflict":
            place, version = rest
            refused = changes[place - 1]
            check_version(refused.collection, refused.key, version, refused.expected)
        if outcome != b"written":
            return [outcome]
        return [outcome, rest[0], {name: _step(step) for name, step in zip(names, rest[1], strict=True)}]

    def read(self, collection: str, since: Mark | None = None, last: int | None = None) -> Reading:
        """As Store says."""
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
            everything = self.scan(collection, limit=last, newest_first=last is not None)
            if self.mark(collection) == mark:
                return Reading(mark, kind == b"whole", True, sorted(everything), marks=marks)
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
        """As Store says."""
        with self._named_errors():
            found = self._client.hmget(f"{self._prefix}:revisions", [collection, f"{collection}\0token"])
        return _mark([value or b"" for value in cast(Sequence[bytes | None], found)])

    def close(self) -> None:
        """As Store says."""
        self._about_to_close()
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
        self._find, self._copy, self._fill = script(VERSIONS), script(COPY), script(FILL)

    def _named_errors(self) -> AbstractContextManager[None]:
        return named_errors(self._place)

    def _key(self, part: str, collection: str) -> str:
        return f"{self._prefix}:{part}:{collection}"


def _all_expected(changes: Sequence[DocumentChange]) -> bool:
    return all(change.expected is not None for change in changes)


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
