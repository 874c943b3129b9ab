"""Reads logs piece by piece: growing and rotated files, gzip and xz, from a place on.

A place is where the lines that were consumed end, with a mark of what stands before: so a file that has grown is read
on, one whose head was cut off is read on after the last line that is known, and another file is read from its start.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from brain.errors import InvalidInput

LONGEST_LINE = 1 << 20
"""Bytes of one line at most; of a longer one the rest is passed over."""
MARK_BYTES = 512
"""Bytes before a place that its mark is made of, at most."""
_SEARCHED = 64 << 20  # bytes at the end of a cut file in which its place is looked for


class LogPlace(msgspec.Struct, frozen=True):
    """Where the consumed part of a log ends: how far it is, and a mark of the bytes before."""

    offset: int = 0
    before: bytes = b""
    lines: int = 0
    repeats: dict[str, int] = {}
    """How often the last contents came, for logs whose records have no ids."""


class Line(NamedTuple):
    """A line with its end, and where it ends."""

    text: bytes
    end: int


def identity_of(path: Path, kind: str) -> str:
    """What a log's place is kept under."""
    name = "-" if str(path) == "-" else str(path.absolute())
    return hashlib.sha256(f"{kind} {name}".encode()).hexdigest()[:40]


def check_logs(paths: Iterable[Path]) -> None:
    """Raise InvalidInput for a log that cannot be read, before anything is made for it."""
    for path in paths:
        if str(path) != "-":
            open_log(path).close()


def open_log(path: Path) -> BinaryIO:
    """The log's bytes, unpacked. Raises InvalidInput."""
    if str(path) == "-":
        return sys.stdin.buffer
    try:
        opened = path.open("rb")
        head = opened.read(6)
        opened.seek(0)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}; give the path of a log") from error
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=opened)  # type: ignore[return-value]
    if head == b"\xfd7zXZ\0":
        return lzma.LZMAFile(opened)  # type: ignore[return-value]
    return opened


def start_of(log: BinaryIO, place: LogPlace) -> int:
    """Where to read on: at the place if it is there, after its mark if the head was cut off, else at 0."""
    if not place.offset or not place.before or not log.seekable():
        return 0
    log.seek(max(0, place.offset - len(place.before)))
    if log.read(len(place.before)) == place.before:
        return place.offset
    size = log.seek(0, os.SEEK_END)
    begin = max(0, size - _SEARCHED)
    log.seek(begin)
    found = log.read(_SEARCHED).rfind(place.before)
    return begin + found + len(place.before) if found >= 0 else 0


def lines_from(log: BinaryIO, start: int, *, partial: bool) -> Iterator[Line]:
    """The lines from there on. One without an end is given only with `partial`: it may still be written."""
    if log.seekable():
        log.seek(start)
    end = start
    while True:
        text = log.readline(LONGEST_LINE)
        if not text:
            return
        if not text.endswith(b"\n"):
            if len(text) == LONGEST_LINE:
                end += len(text)
                while (rest := log.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                    end += len(rest)
                end += len(rest)
                yield Line(text, end)
                continue
            if not partial:
                return
        end += len(text)
        yield Line(text, end)


def place_after(before: bytes, line: Line, lines: int) -> LogPlace:
    """The place after this line; `before` is the mark of the place before it."""
    return LogPlace(line.end, (before + line.text)[-MARK_BYTES:], lines)
