"""Bags in MCAP that end in the middle, as a killed recorder or a full disk leaves them: every whole message is read.

https://mcap.dev/spec says how records and chunks are laid out. A chunk that is cut off is unpacked as far as it goes.
Needs the extra `robots`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from brain.extras import needs

with needs("bags", "robots"):
    import lz4.frame
    import zstandard
    from mcap.data_stream import ReadDataStream
    from mcap.opcode import Opcode
    from mcap.records import Channel, Message, Schema

_MAGIC = b"\x89MCAP0\r\n"


class CutMessage(NamedTuple):
    """A message with what the bag says of its channel. `schema` is None where the bag has none."""

    channel: Channel
    schema: Schema | None
    message: Message


def is_cut_off(path: Path) -> bool:
    """Whether it is a file in MCAP that does not end as one does."""
    if path.suffix != ".mcap" or not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False
        file.seek(max(len(_MAGIC), path.stat().st_size - len(_MAGIC)))
        return file.read() != _MAGIC


def cut_messages(path: Path) -> Iterator[CutMessage]:
    """The whole messages of the file, in the order in which they were written."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    with path.open("rb") as file:
        file.seek(len(_MAGIC))
        for kind, body in _records(file):
            if kind == Opcode.SCHEMA:
                schema = Schema.read(_stream(body))
                schemas[schema.id] = schema
            elif kind == Opcode.CHANNEL:
                channel = Channel.read(_stream(body))
                channels[channel.id] = channel
            elif kind == Opcode.MESSAGE:
                message = Message.read(_stream(body), len(body))
                if message.channel_id in channels:
                    channel = channels[message.channel_id]
                    yield CutMessage(channel, schemas.get(channel.schema_id), message)


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The records of the file with those in its chunks; one that is not whole is left out, and ends it."""
    while len(head := file.read(9)) == 9:
        kind, length = head[0], int.from_bytes(head[1:], "little")
        body = file.read(length)
        if kind == Opcode.CHUNK:
            yield from _records(BytesIO(_unpacked(body)))
        elif len(body) == length:
            yield kind, body


def _unpacked(chunk: bytes) -> bytes:
    """What is in a chunk, as far as it goes: after three numbers of 8 bytes and one of 4, its compression, its data."""
    name_end = 32 + int.from_bytes(chunk[28:32], "little")
    compression, data = chunk[32:name_end], chunk[name_end + 8 :]
    if not compression:
        return data
    unpack: Any = {b"zstd": zstandard.ZstdDecompressor().decompressobj, b"lz4": lz4.frame.LZ4FrameDecompressor}.get(
        compression
    )
    found = bytearray()
    if unpack is not None:
        steps = unpack()
        with suppress(zstandard.ZstdError, RuntimeError, EOFError):  # damaged from here on
            for start in range(0, len(data), 1 << 12):
                found += steps.decompress(data[start : start + (1 << 12)])
    return bytes(found)


def _stream(body: bytes) -> ReadDataStream:
    return ReadDataStream(BytesIO(body))
