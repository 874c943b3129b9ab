"""Which segments a journal has, noted beside them: else nobody could tell that the first or the last one is missing.

The notes stand in the journal's `lock` file: the first number of the oldest segment kept, and of the newest one begun.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from brain.platform import write_at
from brain.stream.owned_file import OwnedFile

_DIGITS = 16


class Bounds(NamedTuple):
    """First numbers of the oldest and of the newest segment that a journal should have."""

    oldest: int
    newest: int


def note_oldest(folder: Path, first: int) -> None:
    """Segments that begin before this number may be gone from now on. Nothing happens where the folder is gone."""
    try:
        file = OwnedFile(folder / "lock", "r+")
    except FileNotFoundError:
        return
    with file:
        write_at(file.fileno(), b"%0*d" % (_DIGITS, first), 0)


def note_newest(lock: int, first: int) -> None:
    """The segment that begins with this number was made; `lock` is the descriptor of the journal's lock."""
    write_at(lock, b"%0*d" % (_DIGITS, first), _DIGITS)


def noted_bounds(folder: Path) -> Bounds | None:
    """What the journal should have; None where it is not noted, as by earlier versions."""
    try:
        with OwnedFile(folder / "lock", "r") as file:
            data = file.read(2 * _DIGITS)
    except OSError:
        return None
    oldest, newest = data[:_DIGITS], data[_DIGITS : 2 * _DIGITS]
    if len(newest) < _DIGITS or not newest.isdigit():
        return None
    return Bounds(int(oldest) if oldest.isdigit() else 0, int(newest))
