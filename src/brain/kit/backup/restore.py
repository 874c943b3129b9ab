"""Restoring a backup: files put in place, and the restore recorded in the stream, so that every group knows of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from brain.errors import Conflict, InvalidInput, Unavailable
from brain.kit.backup import manifest as parts
from brain.kit.backup.manifest import Manifest
from brain.kit.backup.tables import restore_rows
from brain.kit.database import database_url, open_database
from brain.plugins import plugins
from brain.store.sqlite import sqlite_file
from brain.stream.backends import open_backend
from brain.stream.journal import is_journal_name, lock_folder

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.settings import Settings

_BESIDE = ("", "-wal", "-shm")
"""The files of one SQLite database."""


@dataclass
class Restored:
    """What a restore did. `branch` is the position after which the stream is a line of its own."""

    stream: str = ""
    branch: str = ""
    database: str = ""
    files: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    """Where that was put which was there before."""


def restore(settings: Settings, folder: Path, *, replace: bool = False, with_database: bool = True) -> Restored:
    """Put the backup in the places that the settings name. Blocks.

    What is there is never written over: with `replace` it is renamed, else Conflict is raised. Raises InvalidInput for
    a damaged backup and for a stream that is not in an SQLite file, Conflict while a process has the stream open, and
    Unavailable. `with_database=False` leaves the consumers' tables and the keys that are there.
    """
    manifest = parts.read(folder)
    work = _Restore(settings, folder, manifest, with_database)
    work.check(replace)
    try:
        return work.run()
    except OSError as error:
        raise Unavailable(f"restore: {error.filename}: {error.strerror}; make room, or check its rights") from error


class _Restore:
    def __init__(self, settings: Settings, folder: Path, manifest: Manifest, with_database: bool) -> None:
        self._folder = folder
        self._manifest = manifest
        self._settings = settings
        self._stream = _place(settings.stream) if manifest.stream else None
        url = database_url(settings)
        self._with_database = with_database and (folder / parts.DATABASE).exists()
        self._url = url
        self._done = Restored(database=url if self._with_database else "")
        self._stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())

    def check(self, replace: bool) -> None:
        """Raise before anything is changed."""
        if self._stream is not None:
            _check_unused(Path(f"{self._stream}.journal"))
        there = [path for path in self._targets() if path.exists()]
        if there and not replace:
            raise Conflict(
                f"{there[0]} is there already, and nothing was changed; go to another folder or name other places, or "
                "stop what uses it and give --replace: it is renamed then, not deleted"
            )

    def _targets(self) -> Iterator[Path]:
        if self._stream is not None:
            for path in (self._stream, *self._store()):
                yield from (Path(f"{path}{end}") for end in _BESIDE)
            yield Path(f"{self._stream}.journal")
        if self._with_database:
            if self._url.startswith("sqlite:"):
                yield from (Path(f"{sqlite_file(self._url)}{end}") for end in _BESIDE)
            for name, path in self._state_files().items():
                source = self._folder / parts.FILES / name
                same = source.exists() and path.exists() and source.read_bytes() == path.read_bytes()
                if not same and (source.exists() or not name.endswith(parts.SECRET)):
                    yield path

    def _store(self) -> list[Path]:
        """Where the state goes that is in a file of its own."""
        if not (self._folder / parts.STORE).exists():
            return []
        place = _place(self._settings.store_url)
        if place == self._stream:
            raise InvalidInput("store: the backup has stream and state in two files; name the second with BRAIN_STORE")
        return [place]

    def _state_files(self) -> dict[str, Path]:
        database = open_database(self._url)
        try:
            return {
                name: path
                for plugin in plugins().values()
                for name, path in plugin.state_files(database, self._settings).items()
            }
        finally:
            database.dispose()

    def run(self) -> Restored:
        """Set aside what is there; then the consumers first: a kill in between leaves no stream that seems whole."""
        in_file = self._url.startswith("sqlite:")
        if self._with_database and not in_file:
            self._put_database()  # one transaction, which refuses a database that is not empty
        for path in list(self._targets()):
            if path.exists():
                aside = path.with_name(f"{path.name}.before-{self._stamp}")
                path.rename(aside)
                self._done.set_aside.append(str(aside))
        if self._with_database:
            if in_file:
                self._put_database()
            self._put_files()
        if self._stream is not None:
            self._put_stream(self._stream)
        return self._done

    def _put_database(self) -> None:
        source = self._folder / parts.DATABASE
        if self._url.startswith("sqlite:") and not self._manifest.rows_only:
            _put(source, sqlite_file(self._url))
            return
        if self._url.startswith("sqlite:"):
            sqlite_file(self._url).parent.mkdir(parents=True, exist_ok=True)
        database: Engine = open_database(self._url)
        try:
            restore_rows(source, database)
        finally:
            database.dispose()

    def _put_files(self) -> None:
        for name, path in self._state_files().items():
            source = self._folder / parts.FILES / name
            if source.exists():
                _put(source, path)
                self._done.files.append(str(path))

    def _put_stream(self, stream: Path) -> None:
        for place in self._store():
            _put(self._folder / parts.STORE, place)
        journals = self._folder / parts.JOURNALS
        if journals.is_dir():
            shutil.copytree(journals, Path(f"{stream}.journal"))
        _put(self._folder / parts.STREAM, stream)
        with closing(open_backend(f"sqlite:///{stream}")) as backend:
            self._done.branch = backend.branch().position
        self._done.stream = str(stream)


def _place(url: str) -> Path:
    if not url.startswith("sqlite:"):
        raise InvalidInput(
            "restore: a stream is restored to an SQLite file; name one with --stream (Redis is restored by its own "
            "means: docs/backup.md)"
        )
    return sqlite_file(url)


def _check_unused(root: Path) -> None:
    """Raise Conflict when a process has the stream open: it holds the lock of its journal."""
    for folder in root.iterdir() if root.is_dir() else ():
        if is_journal_name(folder.name) and folder.is_dir():
            lock = lock_folder(folder)
            if lock is None:
                raise Conflict(f"restore: a process has the stream open (it holds {folder / 'lock'}); stop it first")
            lock.close()


def _put(source: Path, target: Path) -> None:
    """Copy the file to its place: whole, or not at all; readable by its owner alone."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.restoring")
    shutil.copyfile(source, draft)
    draft.chmod(0o600)
    draft.replace(target)
