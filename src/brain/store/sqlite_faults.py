"""SQLite's errors with the file they are about, the reason, and what to do."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path


def explained(path: Path, error: sqlite3.Error | BaseException) -> str:
    """What went wrong with the file, and what to do. SQLite itself names no file, and often no reason."""
    reason, remedy = _reason(path, str(error))
    return f"SQLite file {path.absolute()}: {reason}; {remedy}"


def _reason(path: Path, text: str) -> tuple[str, str]:
    if "not a database" in text:
        return "it is no SQLite database, or damaged", "give another file, or restore it from a copy"
    if "malformed" in text:
        return f"it is damaged ({text})", "restore it from a copy"
    if "locked" in text or "busy" in text:
        return f"another process keeps it locked ({text})", "try again; end what holds it if that stays so"
    if "full" in text:
        return f"there is no room ({text})", "make room on the disk"
    if "readonly" in text or "unable to open" in text:
        return _closed(path, text)
    if "no such" in text or "has no column" in text:
        return text, "its tables were changed by hand or by another program; restore it from a backup"
    return text, "check the file, its rights and the disk"


def _closed(path: Path, text: str) -> tuple[str, str]:
    """Why a file cannot be opened for writing."""
    folder = path.absolute().parent
    if path.is_dir():
        return "it is a folder", "name a file"
    if not folder.is_dir():
        return f"there is no folder {folder}", "make it, or give another file"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return "this user may not read and write it", "change its rights, or run as its owner"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"this user may not write in its folder {folder}", "change the folder's rights, or give another file"
    return text, "check its rights, its folder's and the disk"
