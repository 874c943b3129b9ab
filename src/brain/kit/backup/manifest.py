"""What a backup holds: the file `manifest.json` in its folder, with the size and SHA-256 of every other file."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path

import msgspec

from brain.errors import InvalidInput
from brain.json_text import JSON_FAULTS
from brain.platform import force_out
from brain.typed import ready

FORMAT = 1
NAME = "manifest.json"
STREAM, STORE, DATABASE, JOURNALS, FILES = "stream.db", "store.db", "consumers.db", "journals", "files"
"""The parts of a backup: files and folders in it."""
SECRET = ".key"
"""How the names of plug-ins' files end that may be left out of a backup, since who has them can act as this system."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One backup. `positions` are those of the groups that read by position; `tail` is the end of the stream."""

    format: int = FORMAT
    made_at: float
    made_by: str
    """The version of this package."""
    stream: str = ""
    """The stream's id; "" for a backup of the consumers' tables alone."""
    tail: str = ""
    rows_only: bool = False
    """Whether the consumers' tables come from PostgreSQL: `consumers.db` then has their rows, and no indexes."""
    positions: dict[str, str] = {}
    files: dict[str, tuple[int, str]] = {}
    """By path below the folder: bytes and SHA-256."""


def listed(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file below the folder, with size and SHA-256."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != NAME:
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = (
                    path.stat().st_size,
                    file_digest(file, "sha256").hexdigest(),
                )
    return found


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, last of all, and force everything out to the disk."""
    (folder / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                force_out(file.fileno())


def read(folder: Path) -> Manifest:
    """The manifest of a backup whose files are whole. Raises InvalidInput, naming what is not as it was written."""
    try:
        manifest = msgspec.json.decode((folder / NAME).read_bytes(), type=ready(Manifest))
    except FileNotFoundError as error:
        raise InvalidInput(
            f"{folder} is no backup: it has no {NAME}; name the folder that brain backup made"
        ) from error
    except (OSError, *JSON_FAULTS) as error:
        raise InvalidInput(f"{folder / NAME} cannot be read: {error}; use another backup") from error
    if manifest.format != FORMAT:
        raise InvalidInput(f"{folder} has format {manifest.format}; this version reads {FORMAT}: install a newer one")
    there = listed(folder)
    wrong = [name for name in sorted({*manifest.files, *there}) if manifest.files.get(name) != there.get(name)]
    if wrong:
        raise InvalidInput(
            f"{folder}: {wrong[0]} is missing, added or altered since the backup was made ({len(wrong)} files are); "
            "use another backup"
        )
    return manifest
