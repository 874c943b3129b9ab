"""Recordings as MCAP (https://mcap.dev): written so that a killed recorder loses a second at most, read, recovered.

Our own recordings hold samples as JSON. Those of robots (ROS 2, CDR) are read too: each number in a message is a value,
named by its topic and its path in the message. Needs the extra `telemetry`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import msgspec

from brain.errors import InvalidInput
from brain.extras import needs
from brain.neutral import json_bytes

with needs("recordings", "telemetry"):
    from mcap.exceptions import McapError
    from mcap.reader import make_reader
    from mcap.records import Channel, Message, Schema
    from mcap.stream_reader import StreamReader
    from mcap.writer import Writer

SCHEMA = "brain.Sample"
FLUSH = 1.0
"""Seconds that a killed recorder may lose."""
_MAGIC = b"\x89MCAP0\r\n"
ITEMS = 16
"""Most items of a list in a message that become values: longer ones are matrices, scans and images."""
_PROPERTIES = {
    "type": "object",
    "properties": {"seq": {"type": "integer"}, "t": {"type": "number"}, "values": {"type": "object"}},
}


class Recorded(NamedTuple):
    """A sample of a recording: its topic, its time in Unix seconds, and its values."""

    topic: str
    at: float
    values: Mapping[str, float]


class Recorder:
    """Writes samples, a channel for each source."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises InvalidInput when the file is there already."""
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise InvalidInput(f"{path}: cannot be written: {error.strerror}") from error
        # In chunks nothing is on the disk until a chunk is full: a kill would leave an empty file.
        self._writer = Writer(self._file, use_chunking=False)
        self._writer.start(profile="", library="brain-eventstream")
        self._schema = self._writer.register_schema(SCHEMA, "jsonschema", msgspec.json.encode(_PROPERTIES))
        self._channels: dict[str, int] = {}
        self._clock = clock
        self._flushed_at = clock()
        self.written: int = 0

    def add(self, source: str, sample: Mapping[str, Any]) -> None:
        """Write a sample: its `seq`, its `t` and its `values`."""
        channel = self._channels.get(source)
        if channel is None:
            channel = self._channels[source] = self._writer.register_channel(source, "json", self._schema)
        at = round(float(sample["t"] if sample.get("t") is not None else time.time()) * 1e9)
        body = {"seq": sample["seq"], "t": sample.get("t"), "values": sample["values"]}
        self._writer.add_message(channel, at, json_bytes(msgspec.json.encode(body)), at, sample["seq"] & 0xFFFFFFFF)
        self.written += 1
        if self._clock() - self._flushed_at >= FLUSH:
            self._flushed_at = self._clock()
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def read_recording(path: Path) -> Iterator[Recorded]:
    """The samples of a recording in the order of their times. Raises InvalidInput for a file that is none."""
    with needs("recordings of robots", "telemetry"):
        from mcap_ros2.decoder import DecoderFactory
    factory = DecoderFactory()
    try:
        with path.open("rb") as file:
            _check_whole(path, file)
            for schema, channel, message in make_reader(file).iter_messages():
                if channel.message_encoding == "json":
                    values = _own_values(message, schema, channel)
                else:
                    decode = factory.decoder_for(channel.message_encoding, schema)
                    values = {} if decode is None else numbers_in(channel.topic, decode(message.data))
                yield Recorded(channel.topic, message.log_time / 1e9, values)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error
    except McapError as error:
        raise InvalidInput(f"{path}: is no recording in MCAP, or damaged: {type(error).__name__} {error}") from error


def _check_whole(path: Path, file: BinaryIO) -> None:
    """A file of MCAP begins and ends with the same bytes; one that was cut off does not end so."""
    begins = file.read(len(_MAGIC)) == _MAGIC
    file.seek(0, os.SEEK_END)
    file.seek(max(0, file.tell() - len(_MAGIC)))
    if not begins:
        raise InvalidInput(f"{path}: is no recording in MCAP")
    if file.read() != _MAGIC:
        raise InvalidInput(f"{path}: is not finished; run: brain telemetry recover {path} NEW.mcap")
    file.seek(0)


def _own_values(message: Message, schema: Schema | None, channel: Channel) -> Mapping[str, float]:
    found = msgspec.json.decode(message.data)
    if schema is not None and schema.name == SCHEMA:
        return {name: float(value) for name, value in found["values"].items()}
    return numbers_in(channel.topic, found)


def numbers_in(name: str, value: Any) -> dict[str, float]:
    """Every number in a message, by the path to it; headers, long lists and what is not finite are left out."""
    found: dict[str, float] = {}
    _gather(name, value, found)
    return found


def _gather(name: str, value: Any, found: dict[str, float]) -> None:
    if isinstance(value, int | float):
        if isfinite(value):
            found[name] = float(value)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            _gather(f"{name}.{key}", one, found)
    elif isinstance(value, list | tuple):
        if len(value) <= ITEMS:
            for place, one in enumerate(value):
                _gather(f"{name}.{place}", one, found)
    else:
        for key in getattr(value, "__slots__", ()):
            if key != "header":
                _gather(f"{name}.{key}", getattr(value, key), found)


def recover(source: Path, target: Path) -> int:
    """Write all whole messages of a recording that was cut off to a new file; how many. Raises InvalidInput."""
    messages = 0
    schemas: dict[int, int] = {}
    channels: dict[int, int] = {}
    try:
        with source.open("rb") as file, target.open("xb") as made:
            out = Writer(made)
            out.start(profile="", library="brain-eventstream")
            try:
                for record in StreamReader(file, record_size_limit=None).records:
                    if isinstance(record, Schema):
                        schemas[record.id] = out.register_schema(record.name, record.encoding, record.data)
                    elif isinstance(record, Channel):
                        schema = schemas.get(record.schema_id, 0)
                        channels[record.id] = out.register_channel(
                            record.topic, record.message_encoding, schema, record.metadata
                        )
                    elif isinstance(record, Message):
                        out.add_message(
                            channels[record.channel_id],
                            record.log_time,
                            record.data,
                            record.publish_time,
                            record.sequence,
                        )
                        messages += 1
            except McapError:
                pass  # the end of what was written: everything before is whole
            out.finish()
    except OSError as error:
        raise InvalidInput(f"{error.filename}: {error.strerror}") from error
    return messages
