"""A client from a URL, for one server, Sentinel or Cluster."""

from __future__ import annotations

import socket
import struct
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from brain.redis_client.cluster import SlotPool
from brain.redis_client.url import RedisUrl

CONNECT_TIMEOUT = 1.0
ASKING_TIMEOUT = 0.5
"""Seconds a Sentinel, or a Cluster's node, is given to say where the primary is before the next one is asked."""


class Gate:
    """What every new connection goes through; once it is closed, cut calls cannot connect again."""

    def __init__(self) -> None:
        self.closed = False

    def __call__(self, connection: Connection) -> None:
        if self.closed:
            raise redis.ConnectionError("the client is closed")
        # Closing drops what is not sent yet: a command that was given up must not arrive later and be carried out.
        assert connection._sock is not None
        connection._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.on_connect()


def connect(url: RedisUrl, reply_timeout: float, gate: Gate | None = None) -> redis.Redis:
    """A client for the place; it connects when first used, and is safe for threads.

    `reply_timeout` in seconds, unless the URL says otherwise. Nothing is ever tried twice: who calls decides what to do
    about a command that may or may not have been carried out.
    """
    options: dict[str, Any] = {
        "socket_timeout": reply_timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        **url.options,
        "username": url.username,
        "password": url.password,
        "db": url.db,
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": gate or Gate(),
    }
    return redis.Redis.from_pool(_pool(url, options))


def _pool(url: RedisUrl, options: dict[str, Any]) -> ConnectionPool:
    if url.kind == "unix":
        del options["socket_connect_timeout"]
        return ConnectionPool(connection_class=UnixDomainSocketConnection, path=url.path, **options)
    if url.kind == "sentinel":
        asking = {
            **_quickly(options),
            "username": options.pop("sentinel_username", None),
            "password": options.pop("sentinel_password", None),
            "ssl": url.tls,
        }
        return SentinelConnectionPool(url.service, Sentinel(url.hosts, sentinel_kwargs=asking), ssl=url.tls, **options)
    if url.kind == "cluster":
        return SlotPool(url.stream, url.hosts, tls=url.tls, asking=_quickly(options), **options)
    host, port = url.hosts[0]
    kind = SSLConnection if url.tls else Connection
    return ConnectionPool(connection_class=kind, host=host, port=port, **options)


def _quickly(options: dict[str, Any]) -> dict[str, Any]:
    """The same options with little patience, for asking one of several servers."""
    return {
        name: min(value, ASKING_TIMEOUT) if name in ("socket_timeout", "socket_connect_timeout") else value
        for name, value in options.items()
        if name not in ("db", "redis_connect_func") and not name.startswith("sentinel_")
    }
