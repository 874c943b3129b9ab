"""A small ONNX file, written by hand: one box whose confidence is the mean brightness of the picture."""

from __future__ import annotations

import struct
from collections.abc import Sequence

FLOAT, INTEGERS = 1, 7


def bright_box(box: Sequence[float], size: int = 32) -> bytes:
    """A model of output `boxes`: x1, y1, x2, y2 in pixels of its picture of this size, brightness, class 0."""
    nodes = [
        node("ReduceMean", ["picture"], "mean", ints("axes", [1, 2, 3])),
        node("Reshape", ["mean", "one"], "sure"),
        node("Concat", ["box", "sure", "zero"], "boxes", number("axis", 2)),
    ]
    tensors = [
        tensor("one", INTEGERS, [3], struct.pack("<3q", 1, 1, 1)),
        tensor("box", FLOAT, [1, 1, 4], struct.pack("<4f", *box)),
        tensor("zero", FLOAT, [1, 1, 1], struct.pack("<f", 0.0)),
    ]
    graph = b"".join(part(1, one) for one in nodes) + part(2, b"bright") + b"".join(part(5, one) for one in tensors)
    graph += part(11, value("picture", [1, 3, size, size])) + part(12, value("boxes", [1, 1, 6]))
    return whole(1, 8) + part(7, graph) + part(8, part(1, b"") + whole(2, 13))


def node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    named = b"".join(part(1, name.encode()) for name in inputs) + part(2, output.encode()) + part(4, kind.encode())
    return named + b"".join(part(5, attribute) for attribute in attributes)


def ints(name: str, values: Sequence[int]) -> bytes:
    return part(1, name.encode()) + b"".join(whole(8, value) for value in values) + whole(20, 7)


def number(name: str, value: int) -> bytes:
    return part(1, name.encode()) + whole(3, value) + whole(20, 2)


def tensor(name: str, kind: int, shape: Sequence[int], data: bytes) -> bytes:
    return b"".join(whole(1, size) for size in shape) + whole(2, kind) + part(8, name.encode()) + part(9, data)


def value(name: str, shape: Sequence[int]) -> bytes:
    sizes = b"".join(part(1, whole(1, size)) for size in shape)
    return part(1, name.encode()) + part(2, part(1, whole(1, FLOAT) + part(2, sizes)))


def part(field: int, data: bytes) -> bytes:
    """A field of bytes."""
    return varint(field << 3 | 2) + varint(len(data)) + data


def whole(field: int, value: int) -> bytes:
    """A field of a whole number."""
    return varint(field << 3) + varint(value)


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
