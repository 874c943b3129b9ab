"""Taking a backup, while everything goes on.

The order makes the set consistent: keys and the consumers' tables first, then journals, state, and the stream last.
What is copied later may know more than what was copied before, never less; consumers catch up with a stream.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from brain import __version__
from brain.errors import InvalidInput, Unavailable
from brain.kit import positions
from brain.kit.backup import manifest as parts
from brain.kit.backup.journals import copy_journals, drop_stored
from brain.kit.backup.manifest import Manifest
from brain.kit.backup.tables import copy_file, copy_rows, open_copy
from brain.kit.database import create_tables, database_url, open_database
from brain.kit.lineage import CannotContinue, Known, locate
from brain.logs import Log
from brain.plugins import plugins
from brain.store.ours import check_exists, check_ours
from brain.store.sqlite import sqlite_file
from brain.stream.backends import Backend, StreamIdentity, open_backend

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.settings import Settings

log: Log = Log("brain.backup")

ATTEMPTS = 5
"""How often a set is copied that turns out not to fit together, since retention or a restart came in between."""


def take(settings: Settings, folder: Path, *, with_keys: bool = True, only_database: bool = False) -> Manifest:
    """Write a backup into the folder, which must not exist; it is there as a whole or not at all. Blocks.

    Raises InvalidInput for a folder that exists and for a stream that is not in an SQLite file, and Unavailable.
    """
    stream = None if only_database else _file_of(settings.stream, "stream")
    store = None if only_database else _file_of(settings.store_url, "store")
    if folder.exists():
        raise InvalidInput(f"{folder} exists already; name a new folder")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    for attempt in range(1, ATTEMPTS + 1):
        draft.mkdir(mode=0o700, parents=True)
        try:
            found = _copy(settings, draft, stream, store, with_keys)
            if found is not None:
                parts.write(draft, found)
                draft.rename(folder)
                return found
        except OSError as error:
            raise Unavailable(f"backup: {error.filename}: {error.strerror}; make room, or check its rights") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        log.info("the parts of the backup do not fit together; copying once more", attempt=attempt)
    raise Unavailable(f"backup: {ATTEMPTS} sets did not fit together, as the stream is trimmed too quickly; try again")


def _file_of(url: str, what: str) -> Path:
    if not url.startswith("sqlite:"):
        raise InvalidInput(
            f"{what}: brain backup copies what is in SQLite files; for a stream on Redis run brain backup "
            "--only-database, and after it Redis's own BGSAVE, in this order (docs/backup.md)"
        )
    check_exists(url)
    path = sqlite_file(url)
    check_ours(path)
    return path


def _copy(settings: Settings, draft: Path, stream: Path | None, store: Path | None, with_keys: bool) -> Manifest | None:
    """Copy all parts, in order; None when they do not fit together."""
    rows_only = _copy_database(settings, draft, with_keys, needed=stream is None)
    tail = stream_id = ""
    if stream is not None and store is not None:
        root = Path(f"{stream}.journal")
        names = copy_journals(root, draft / parts.JOURNALS)
        if store != stream:
            copy_file(store, draft / parts.STORE)
        copy_file(stream, draft / parts.STREAM)
        if not drop_stored(root, draft / parts.JOURNALS, names, draft / parts.STREAM):
            return None
        checked = _check(draft)
        if checked is None:
            return None
        stream_id, tail = checked
    return Manifest(
        made_at=time.time(),
        made_by=__version__,
        stream=stream_id,
        tail=tail,
        rows_only=rows_only,
        positions=dict(_positions(draft / parts.DATABASE)),
        files=parts.listed(draft),
    )


def _copy_database(settings: Settings, draft: Path, with_keys: bool, needed: bool) -> bool:
    """Copy the consumers' tables, if there are any, and the files beside them; whether row by row."""
    url = database_url(settings)
    if not needed and url.startswith("sqlite:") and not sqlite_file(url).exists():
        return False
    check_exists(url)
    database = open_database(url)
    rows_only = database.dialect.name != "sqlite"
    try:
        create_tables(database, positions.METADATA)
        _copy_files(settings, database, draft / parts.FILES, with_keys)
        if rows_only:
            copy_rows(database, draft / parts.DATABASE)
        else:
            copy_file(Path(str(database.url.database)), draft / parts.DATABASE)
    finally:
        database.dispose()
    return rows_only


def _copy_files(settings: Settings, database: Engine, target: Path, with_keys: bool) -> None:
    target.mkdir(mode=0o700)
    for plugin in plugins().values():
        for name, path in plugin.state_files(database, settings).items():
            if path.is_file() and (with_keys or not name.endswith(parts.SECRET)):
                shutil.copyfile(path, target / name)
                (target / name).chmod(0o600)


def _positions(copy: Path) -> list[tuple[str, str]]:
    if not copy.exists():
        return []
    with closing(sqlite3.connect(copy)) as db:
        return db.execute(f"SELECT name, position FROM {positions.POSITIONS.name} ORDER BY name").fetchall()


def _check(draft: Path) -> tuple[str, str] | None:
    """The stream's id and end, when each group finds its place in the copied stream; else None."""
    backend = open_backend(f"sqlite:///{(draft / parts.STREAM).absolute()}")
    try:
        identity = backend.identity()
        if any(not _fits(backend, identity, known) for known in _known(draft / parts.DATABASE)):
            return None
        return identity.id, backend.tail()
    finally:
        backend.close()
        _one_file(draft / parts.STREAM)


def _known(copy: Path) -> list[Known]:
    """What the copied tables know of each group's place."""
    groups = [group for group, _ in _positions(copy)]
    if not groups:
        return []
    database = open_copy(copy)
    try:
        with database.connect() as db:
            return [known for group in groups if (known := positions.read_known(db, group)) is not None]
    finally:
        database.dispose()
        _one_file(copy)


def _fits(backend: Backend, identity: StreamIdentity, known: Known) -> bool:
    try:
        return locate(backend, known, identity, 0) == known.place.position
    except CannotContinue as error:
        log.info("a group has no place in the copied stream", group=known.group, reason=str(error))
        return False


def _one_file(path: Path) -> None:
    """Take in the write-ahead log: the copy is one file again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
