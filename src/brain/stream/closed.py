"""What a stream says that was closed in this process."""

from __future__ import annotations

from brain.errors import Unavailable


class Closed(Unavailable):
    """The stream is closed in this process."""

    def __init__(self, message: str = "the stream is closed in this process; open one of its own") -> None:
        super().__init__(message)
