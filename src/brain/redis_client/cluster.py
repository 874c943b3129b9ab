"""Connections to the one node of a Cluster that serves the stream's slot: docs/decisions/0004-redis-cluster.md.

All keys of a stream share a hash tag, so one node serves them all, and a plain client that always talks to that node is
all it takes. The node is asked for at every connect; when it answers that the slot has moved, the connection is closed,
and the next one goes where the slot is now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.connection import Connection, ConnectionPool, SSLConnection
from redis.crc import key_slot
from redis.exceptions import AskError

Address = tuple[str, int]


class SlotMoved(redis.ConnectionError):
    """The node no longer serves the slot, or is handing it over."""


class Finder:
    """Knows which node serves a slot, by asking any node that answers."""

    def __init__(self, slot: int, nodes: Sequence[Address], node_at: Callable[[Address], Connection]) -> None:
        self.slot = slot
        self.found: Address | None = None
        self._nodes = list(nodes)
        self._node_at = node_at

    def find(self) -> Address:
        """The node that serves the slot now. Raises redis.ConnectionError when nobody can tell."""
        failure: Exception = redis.ConnectionError("there is no node to ask")
        for node in list(self._nodes):
            connection = self._node_at(node)
            try:
                connection.connect()
                connection.send_command("CLUSTER", "SLOTS")
                ranges: Any = connection.read_response()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                failure = error
                continue
            finally:
                connection.disconnect()
            known = [_address(server, node) for _, _, *servers in ranges for server in servers]
            self._nodes = [*dict.fromkeys((node, *known, *self._nodes))]  # who has answered is asked first next time
            for first, last, primary, *_ in ranges:
                if first <= self.slot <= last:
                    self.found = _address(primary, node)
                    return self.found
            failure = redis.ConnectionError(f"no node serves slot {self.slot}")
        raise failure


def _address(server: Sequence[Any], asked: Address) -> Address:
    """The address in an answer; an empty one means the host that was asked."""
    return (server[0] or b"").decode() or asked[0], int(server[1])


class SlotConnection(Connection):
    """Connects to where the slot is, and leaves a node that no longer serves it."""

    def __init__(self, *, finder: Finder, **options: Any) -> None:
        self._finder = finder
        super().__init__(**options)

    def connect(self) -> None:
        if self._sock is not None and (self.host, self.port) != self._finder.found:
            self.disconnect()
        if self._sock is None:
            host, port = self._finder.find()
            self.host: str = host
            self.port: int = port
        super().connect()

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except AskError as error:  # also its child MovedError
            self._finder.found = None
            self.disconnect()
            raise SlotMoved(f"slot {self._finder.slot} has moved or is moving") from error


class SlotSSLConnection(SlotConnection, SSLConnection):
    """The same over TLS."""


class SlotPool(ConnectionPool):
    """Connections for the keys of one stream; `asking` are the options for asking nodes where those are."""

    def __init__(
        self, stream: str, nodes: Sequence[Address], *, tls: bool, asking: dict[str, Any], **options: Any
    ) -> None:
        plain = SSLConnection if tls else Connection
        finder = Finder(
            key_slot(f"{{{stream}}}".encode()), nodes, lambda node: plain(host=node[0], port=node[1], **asking)
        )
        super().__init__(connection_class=SlotSSLConnection if tls else SlotConnection, finder=finder, **options)
