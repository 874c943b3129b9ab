"""Bags of ROS 1, and of ROS 2 as SQLite and MCAP, through rosbags: no ROS is needed. Needs the extra `robots`.

A bag in MCAP that ends in the middle, as a killed recorder leaves it, is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from brain.errors import BrainError, InvalidInput
from brain.extras import needs
from brain.ros2_bridge.cut_bags import cut_messages, is_cut_off
from brain.ros2_bridge.rates import RateCounter, TopicRate

with needs("bags", "robots"):
    from mcap.records import Schema
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore


class BagInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a bag."""

    file: Annotated[str, Meta(description="The file or folder.")]
    seconds: Annotated[float, Meta(description="From the first message to the last.")]
    messages: Annotated[int, Meta(description="All messages.")]
    decoded: Annotated[int | None, Meta(description="Those that could be decoded; null when that was not tried.")]
    cut_off: Annotated[bool, Meta(description="Whether the bag ends in the middle; what is before that is here.")]
    topics: list[TopicRate]


class BagMessage(NamedTuple):
    """A message of a bag. `at` is in Unix seconds, `raw` are its bytes in the bag."""

    topic: str
    type: str
    at: float
    raw: bytes
    decoded: Any
    """The message; None when it was not asked for, or cannot be decoded."""


def read_bag(path: Path, *, decode: bool = True) -> Iterator[BagMessage]:
    """The messages of a bag in the order of their times. Raises InvalidInput for what is no bag, or damaged.

    Those of a bag that is cut off come in the order in which they were written.
    """
    with _damage_named(path):
        yield from _cut_messages(path, decode) if is_cut_off(path) else _messages(path, decode)


def bag_info(path: Path, *, decode: bool = False) -> BagInfo:
    """What is in the bag, by topic; with `decode` each message is decoded. Raises InvalidInput."""
    counters: dict[str, RateCounter] = {}
    first = last = None
    decoded = 0
    for message in read_bag(path, decode=decode):
        first = message.at if first is None else min(first, message.at)
        last = message.at if last is None else max(last, message.at)
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
        cut_off=is_cut_off(path),
        topics=topics,
    )


def _messages(path: Path, decode: bool) -> Iterator[BagMessage]:
    bag = path.parent if path.suffix == ".db3" else path
    with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        for connection, at, raw in reader.messages():
            found = _decoded(reader.deserialize, raw, connection.msgtype) if decode else None
            yield BagMessage(connection.topic, connection.msgtype, at / 1e9, raw, found)


def _cut_messages(path: Path, decode: bool) -> Iterator[BagMessage]:
    decoders: dict[int, Callable[[bytes, str], Any]] = {}
    for channel, schema, message in cut_messages(path):
        type = "" if schema is None else schema.name
        found = None
        if decode:
            if channel.schema_id not in decoders:
                decoders[channel.schema_id] = _typestore(schema).deserialize_cdr
            found = _decoded(decoders[channel.schema_id], message.data, type)
        yield BagMessage(channel.topic, type, message.log_time / 1e9, message.data, found)


def _typestore(schema: Schema | None) -> Any:
    """The types of a channel: those that the file has, or those of ROS 2 Jazzy."""
    if schema is None or not schema.data:
        return get_typestore(Stores.ROS2_JAZZY)
    store, text = get_typestore(Stores.EMPTY), schema.data.decode()
    store.register(get_types_from_idl(text) if "idl" in schema.encoding else get_types_from_msg(text, schema.name))
    return store


def _decoded(decode: Callable[[bytes, str], Any], raw: bytes, type: str) -> Any:
    try:
        return decode(raw, type)
    except Exception:  # noqa: BLE001  (bytes that do not fit their type fail in many ways; they are counted)
        return None


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    if not path.exists():
        raise InvalidInput(f"{path}: is not there; name a bag: a file .bag or .mcap, or the folder of a ROS 2 bag")
    try:
        yield
    except BrainError:
        raise
    except Exception as error:  # what reads it stands on SQLite, zstd, lz4 and YAML, which have errors of their own
        raise InvalidInput(f"{path}: is no bag, or damaged: {type(error).__name__}: {error}") from error
