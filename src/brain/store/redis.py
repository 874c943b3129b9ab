"""Documents in Redis (or Valkey). Every change is one Lua script, so it is atomic among any number of processes.

All keys share a hash tag, the name of the stream, and so live on one shard of a Cluster: a script may only touch one.
A collection is a hash (key -> version and data) with a sorted set beside it that keeps the keys in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import cast

from brain.redis_client.connect import connect
from brain.redis_client.errors import named_errors
from brain.redis_client.url import parse
from brain.store import Document, forking
from brain.store.rules import check_key, check_version

REPLY_TIMEOUT = 2.0
"""Seconds before a silent server means Unavailable. The URL may say otherwise: `?socket_timeout=0.5`."""

_CHUNK = 1_000

# A revision starts at the server's clock, so that it still grows after a server came back with empty memory.
_COUNT_CHANGE = """
local function count_change(revisions, collection)
    if redis.call('HEXISTS', revisions, collection) == 0 then
        local now = redis.call('TIME')
        redis.call('HSET', revisions, collection, string.format('%d%06d', now[1], now[2]))
    end
    redis.call('HINCRBY', revisions, collection, 1)
end
local function version_of(found)
    return found and tonumber(string.match(found, '^%d+')) or 0
end
"""
_PUT = (
    _COUNT_CHANGE
    + """
local version = version_of(redis.call('HGET', KEYS[1], ARGV[2]))
if ARGV[4] ~= '' and tonumber(ARGV[4]) ~= version then return {0, version} end
redis.call('HSET', KEYS[1], ARGV[2], string.format('%d:', version + 1) .. ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
count_change(KEYS[3], ARGV[1])
return {1, version + 1}
"""
)
_DELETE = (
    _COUNT_CHANGE
    + """
local version = version_of(redis.call('HGET', KEYS[1], ARGV[2]))
if ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version then return {0, version} end
if version > 0 then
    redis.call('HDEL', KEYS[1], ARGV[2])
    redis.call('ZREM', KEYS[2], ARGV[2])
    count_change(KEYS[3], ARGV[1])
end
return {1, version}
"""
)
_SCAN = """
local keys = redis.call(ARGV[1], KEYS[2], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
if #keys == 0 then return {{}, {}} end
return {keys, redis.call('HMGET', KEYS[1], unpack(keys))}
"""


class RedisStore(forking.Part):
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
            found = cast(bytes | None, self._client.hget(self._keys(collection)[0], key))
        return None if found is None else _document(key, found)

    def put(self, collection: str, key: str, data: bytes, expected: int | None = None) -> int:
        check_key(collection, key)
        wanted = "" if expected is None else expected
        with self._named_errors():
            done, version = cast(list[int], self._put(self._keys(collection), [collection, key, data, wanted]))
        if not done:
            check_version(collection, key, version, expected)
        return version

    def delete(self, collection: str, key: str, expected: int | None = None) -> bool:
        check_key(collection, key)
        wanted = "" if expected is None else expected
        with self._named_errors():
            done, version = cast(list[int], self._delete(self._keys(collection), [collection, key, wanted]))
        if not done:
            check_version(collection, key, version, expected)
        return version > 0

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        """As the port says; read by the thousand, so a long scan never holds the server up and is not one snapshot."""
        documents: list[Document] = []
        command = "ZREVRANGEBYLEX" if newest_first else "ZRANGEBYLEX"
        low: bytes = b"[" + start.encode() if start else b"-"
        high = b"+"
        while limit is None or len(documents) < limit:
            size = _CHUNK if limit is None else min(_CHUNK, limit - len(documents))
            bounds = (high, low) if newest_first else (low, high)
            with self._named_errors():
                keys, found = cast(
                    tuple[list[bytes], list[bytes]], self._scan(self._keys(collection), [command, *bounds, size])
                )
            documents += [_document(key.decode(), data) for key, data in zip(keys, found, strict=True)]
            if len(keys) < size:
                break
            if newest_first:
                high = b"(" + keys[-1]
            else:
                low = b"(" + keys[-1]
        return documents

    def revision(self, collection: str) -> int:
        with self._named_errors():
            return int(cast(bytes | None, self._client.hget(self._revisions, collection)) or 0)

    def close(self) -> None:
        self._client.close()

    def after_fork_in_child(self) -> None:
        """Use sockets of this process's own, and none of the parent's locks; the parent's sockets stay connected."""
        self._connect()

    def _connect(self) -> None:
        # Nothing is tried twice: a change that timed out may have been made, and would meet its own traces.
        self._client = connect(self._place, REPLY_TIMEOUT)
        self._put = self._client.register_script(_PUT)
        self._delete = self._client.register_script(_DELETE)
        self._scan = self._client.register_script(_SCAN)

    def _named_errors(self) -> AbstractContextManager[None]:
        return named_errors(self._place)

    @property
    def _revisions(self) -> str:
        return f"{self._prefix}:revisions"

    def _keys(self, collection: str) -> list[str]:
        return [f"{self._prefix}:data:{collection}", f"{self._prefix}:keys:{collection}", self._revisions]


def _document(key: str, stored: bytes) -> Document:
    version, _, data = stored.partition(b":")
    return Document(key, int(version), data)
