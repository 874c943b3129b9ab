"""Documents in Redis (or Valkey). Every change is one Lua script, so it is atomic among any number of processes.

All keys share the hash tag `{brain}` and so live on one shard of a Cluster: a script may only touch one.
A collection is a hash (key -> version and data) with a sorted set beside it that keeps the keys in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from brain.errors import InvalidInput, Unavailable
from brain.store import Document
from brain.store.rules import check_key, check_version

CONNECT_TIMEOUT = 1.0
REPLY_TIMEOUT = 2.0
"""Seconds before a silent server means Unavailable. The URL may say otherwise: `?socket_timeout=0.5`."""

_CHUNK = 1_000
_REVISIONS = "{brain}:store:revisions"

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


class RedisStore:
    """A Store in the Redis at `url`. Raises InvalidInput for a bad URL, Unavailable when the server does not answer.

    After Unavailable a change may or may not have happened: read again before repeating it.
    """

    def __init__(self, url: str) -> None:
        try:
            # No retries: a change that timed out may have been made, and a second try would meet its own traces.
            self._client = redis.Redis.from_url(
                url,
                socket_connect_timeout=CONNECT_TIMEOUT,
                socket_timeout=REPLY_TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
        except ValueError as error:
            raise InvalidInput(f"store URL: {error}; write redis://host:6379/0") from error
        parts = urlsplit(url)
        self._name = f"{parts.hostname}:{parts.port or 6379}"  # for messages: the URL may hold a password
        self._put = self._client.register_script(_PUT)
        self._delete = self._client.register_script(_DELETE)
        self._scan = self._client.register_script(_SCAN)
        with self._named_errors():
            self._client.ping()

    def get(self, collection: str, key: str) -> Document | None:
        check_key(collection, key)
        with self._named_errors():
            found = cast(bytes | None, self._client.hget(_keys(collection)[0], key))
        return None if found is None else _document(key, found)

    def put(self, collection: str, key: str, data: bytes, expected: int | None = None) -> int:
        check_key(collection, key)
        wanted = "" if expected is None else expected
        with self._named_errors():
            done, version = cast(list[int], self._put(_keys(collection), [collection, key, data, wanted]))
        if not done:
            check_version(collection, key, version, expected)
        return version

    def delete(self, collection: str, key: str, expected: int | None = None) -> bool:
        check_key(collection, key)
        wanted = "" if expected is None else expected
        with self._named_errors():
            done, version = cast(list[int], self._delete(_keys(collection), [collection, key, wanted]))
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
                    tuple[list[bytes], list[bytes]], self._scan(_keys(collection), [command, *bounds, size])
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
            return int(cast(bytes | None, self._client.hget(_REVISIONS, collection)) or 0)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise Unavailable(f"Redis at {self._name}: {error}; check that it runs and can be reached") from error


def _keys(collection: str) -> list[str]:
    return [f"{{brain}}:store:data:{collection}", f"{{brain}}:store:keys:{collection}", _REVISIONS]


def _document(key: str, stored: bytes) -> Document:
    version, _, data = stored.partition(b":")
    return Document(key, int(version), data)
