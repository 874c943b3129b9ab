"""For commands that read or change a stream's backend without being a producer or a consumer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brain.stream import EventStream
    from brain.stream.backends import Backend, GroupInfo

__all__ = ["find_group", "opened", "reading_stream"]


@contextmanager
def opened(stream: str | None) -> Iterator[Backend]:
    """The backend of the stream that `--stream`, the environment or the settings file name."""
    from brain.settings import load_settings
    from brain.store.ours import check_exists
    from brain.stream.backends import open_backend

    url = load_settings(stream=stream).stream
    check_exists(url)
    backend = open_backend(url)
    try:
        yield backend
    finally:
        backend.close()


@asynccontextmanager
async def reading_stream(url: str) -> AsyncIterator[EventStream]:
    """The stream without a journal, since nothing is published. Raises InvalidInput when there is no such file."""
    from brain.store.ours import check_exists
    from brain.stream.backends import open_backend
    from brain.stream.stream import EventStream, StreamOptions

    check_exists(url)
    stream = EventStream(StreamOptions(url), open_backend(url))
    try:
        yield stream
    finally:
        await stream.close()


def find_group(backend: Backend, name: str) -> GroupInfo:
    """The group of that name. Raises NoGroup, which lists those there are."""
    from brain.stream.backends import NoGroup

    groups = {group.name: group for group in backend.groups()}
    if name not in groups:
        raise NoGroup(f"group {name!r} does not exist; the groups are {', '.join(sorted(groups)) or 'none'}")
    return groups[name]
