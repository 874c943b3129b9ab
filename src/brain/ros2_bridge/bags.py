"""Bags of ROS 1, and of ROS 2 as SQLite and MCAP, through rosbags: no ROS is needed. Needs the extra `robots`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from brain.errors import InvalidInput
from brain.extras import needs
from brain.ros2_bridge.rates import RateCounter, TopicRate

with needs("bags", "robots"):
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.typesys import Stores, get_typestore


class BagInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a bag."""

    file: Annotated[str, Meta(description="The file or folder.")]
    seconds: Annotated[float, Meta(description="From the first message to the last.")]
    messages: Annotated[int, Meta(description="All messages.")]
    decoded: Annotated[int | None, Meta(description="Those that could be decoded; null when that was not tried.")]
    topics: list[TopicRate]


class BagMessage(NamedTuple):
    """A message of a bag. `at` is in Unix seconds, `raw` are its bytes in the bag."""

    topic: str
    type: str
    at: float
    raw: bytes
    decoded: Any
    """The message; None when it was not asked for."""


def read_bag(path: Path, *, decode: bool = True) -> Iterator[BagMessage]:
    """The messages of a bag in the order of their times. Raises InvalidInput for what is no bag, or damaged."""
    with _opened(path) as reader:
        for connection, at, raw in reader.messages():
            decoded = reader.deserialize(raw, connection.msgtype) if decode else None
            yield BagMessage(connection.topic, connection.msgtype, at / 1e9, raw, decoded)


def bag_info(path: Path, *, decode: bool = False) -> BagInfo:
    """What is in the bag, by topic; with `decode` each message is decoded. Raises InvalidInput."""
    counters: dict[str, RateCounter] = {}
    first = last = None
    decoded = 0
    for message in read_bag(path, decode=decode):
        first = message.at if first is None else first
        last = message.at
        decoded += message.decoded is not None
        counter = counters.get(message.topic)
        if counter is None:
            counter = counters[message.topic] = RateCounter(message.topic, message.type)
        counter.add(message.at, len(message.raw))
    topics = [counters[name].rate(last or 0.0) for name in sorted(counters)]
    return BagInfo(
        file=str(path),
        seconds=0.0 if first is None or last is None else last - first,
        messages=sum(topic.count for topic in topics),
        decoded=decoded if decode else None,
        topics=topics,
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.exists():
        raise InvalidInput(f"{path}: is not there; name a bag: a file .bag or .mcap, or the folder of a ROS 2 bag")
    bag = path.parent if path.suffix == ".db3" else path
    try:
        with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            yield reader
    except InvalidInput:
        raise
    except (AnyReaderError, OSError, ValueError, KeyError) as error:
        raise InvalidInput(f"{path}: is no bag, or damaged: {type(error).__name__}: {error}") from error
