"""The journals in a backup: what was published and not stored yet when the stream was copied."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from brain.stream.journal import is_journal_name, segment_path, segments, whole_length


def copy_journals(root: Path, target: Path) -> list[str]:
    """Copy the whole records of all journals; their names. To be called before the stream is copied.

    In this order the stream's copy has every record that a shipped segment loses meanwhile.
    """
    names = [name for name in (os.listdir(root) if root.is_dir() else ()) if is_journal_name(name)]
    for name in names:
        (target / name).mkdir(parents=True)
        for first in _segments(root / name):
            try:
                data = segment_path(root / name, first).read_bytes()
            except FileNotFoundError:
                continue  # all of it was stored meanwhile
            # Only up to the first record that is not whole: the file grows while it is read.
            segment_path(target / name, first).write_bytes(data[: whole_length(data)])
    return names


def drop_stored(root: Path, copies: Path, names: Sequence[str], stream: Path) -> bool:
    """Remove copies of journals that hold nothing that the copied stream lacks; False when that cannot be known.

    A journal that is gone by now had been stored as a whole, before the stream was copied or just after: nobody knows.
    """
    db = sqlite3.connect(stream)
    try:
        marks = dict(db.execute("SELECT name, mark FROM producers"))
    finally:
        db.close()
    for name in names:
        if name not in marks and not (root / name).is_dir():
            return False
        following = int(marks.get(name, "0").partition(":")[0])
        if _end(copies / name) <= following:
            _remove(copies / name)
    return True


def _segments(folder: Path) -> list[int]:
    try:
        return segments(folder)
    except FileNotFoundError:
        return []


def _end(folder: Path) -> int:
    """The number after that of the last record in the folder."""
    firsts = segments(folder)
    if not firsts:
        return 0
    data = segment_path(folder, firsts[-1]).read_bytes()
    return firsts[-1] + _count(data)


def _count(data: bytes) -> int:
    count, at = 0, 0
    while at < len(data):
        at += 16 + int.from_bytes(data[at : at + 4], "little")
        count += 1
    return count


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
