"""Heads of requests that are sent again and again: read once, and known by their bytes from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")

LONGEST = 4096
"""Bytes of a head that is remembered."""
MOST = 512
"""How many are remembered; beyond that all are forgotten, and the usual ones soon known again."""
END = b"\r\n\r\n"


class Head(NamedTuple):
    """The head of a request of HTTP/1.1 after which the connection stays open. No header is in it twice."""

    target: bytes
    headers: Mapping[bytes, bytes]
    """By lower-case names."""


class KnownHeads(Generic[T]):
    """What `judge` makes of heads. It is given None for all that `read_head` does not read."""

    def __init__(self, judge: Callable[[Head], T | None]) -> None:
        self._judge = judge
        self._known: dict[bytes, T | None] = {}

    def find(self, raw: bytes) -> T | None:
        """What was made of the head, and now is; its last bytes are END."""
        try:
            return self._known[raw]
        except KeyError:
            head = read_head(raw) if len(raw) <= LONGEST else None
            found = None if head is None else self._judge(head)
            if len(raw) <= LONGEST:
                if len(self._known) >= MOST:
                    self._known.clear()
                self._known[raw] = found
            return found


def read_head(raw: bytes) -> Head | None:
    """The head, as httptools reads it; None for one that is broken, repeats a header, changes the protocol, or after
    which the connection is to be closed."""
    import httptools

    reading = _Reading()
    reading.parser = httptools.HttpRequestParser(reading)
    try:
        reading.parser.feed_data(raw)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    names = [name.lower() for name, _ in reading.headers]
    if not reading.is_plain or len(set(names)) != len(names):
        return None
    values = (value for _, value in reading.headers)
    return Head(reading.target, dict(zip(names, values, strict=True)))


class _Reading:
    """What the parser calls."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.is_plain = False
        self.parser: Any = None

    def on_url(self, part: bytes) -> None:
        self.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        stays = self.parser.should_keep_alive() and not self.parser.should_upgrade()
        self.is_plain = stays and self.parser.get_http_version() == "1.1"

    def on_body(self, part: bytes) -> None:
        self.is_plain = False  # it ended before END
