"""A Redis client from a URL; its time-outs let a hung server be noticed and a busy one answer."""

from __future__ import annotations

import redis

from brain.errors import InvalidInput

TIMEOUT = 5.0
"""Seconds after which an unanswered command counts as failed; the shipper tries again, the consumers too."""


def connect(url: str) -> redis.Redis:
    """A client for `redis://`, `rediss://` (TLS) or `unix://`; user, password and options as redis-py documents them.

    Raises InvalidInput for a URL that redis-py cannot read. Does not connect yet.
    """
    try:
        return redis.Redis.from_url(
            url, protocol=2, socket_timeout=TIMEOUT, socket_connect_timeout=2.0, socket_keepalive=True
        )
    except ValueError as error:
        raise InvalidInput(f"stream URL: {error}; write redis://host:port/db") from error
