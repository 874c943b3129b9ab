"""Whose journal it is: where several streams share a folder of journals, each takes up those of its own alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from brain.logs import Log

log: Log = Log("brain.journal")

_NAME = "stream"


def note_owner(folder: Path, place: str) -> None:
    """Write down in the journal's folder which stream its events are for; on a full disk nobody knows."""
    try:
        (folder / _NAME).write_bytes(os.fsencode(place))
    except OSError as error:
        log.warning("a journal cannot say which stream it is of", journal=str(folder), error=str(error))


def owner_of(folder: Path) -> str:
    """What was noted; "" for a journal that says nothing, as those of the first version."""
    with suppress(OSError):
        return os.fsdecode((folder / _NAME).read_bytes())
    return ""
