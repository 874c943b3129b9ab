"""Where the log's key is, and opening the log with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from brain.audit.keys import load_key, load_or_make_key
from brain.audit.log import AuditLog, open_log, prepare, read_identity
from brain.audit.note import Signer, Verifier
from brain.audit.settings import AuditSettings
from brain.errors import Conflict, NotFound, Unavailable
from brain.kit.database import reachable

DEFAULT = "brain-audit.key"


def key_path(settings: AuditSettings, database: Engine) -> Path:
    """The file of the key: the setting's, or one beside the SQLite database, or in the current folder."""
    if settings.key_file is not None:
        return settings.key_file
    if database.dialect.name != "sqlite" or not database.url.database:
        return Path(DEFAULT)
    path = Path(database.url.database)
    return path.with_name(f"{path.stem.removesuffix('-consumers')}-audit.key")


class Custody:
    """The log of a database, opened when first needed; `clock` gives Unix seconds."""

    def __init__(self, settings: AuditSettings, database: Engine, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock
        self.path = key_path(settings, database)
        self.remembered = self.path.with_suffix(".checkpoint")
        """Where the last checkpoint that this machine signed is kept outside the database."""
        self._log: AuditLog | None = None
        self._opening = threading.Lock()

    def log(self) -> AuditLog:
        """The log, begun when there is none. Raises what `load_or_make_key` and `open_log` do, and Unavailable."""
        self.prepare()  # first: a database that does not answer must not leave a key without a log
        with self._opening, reachable(self.database):
            if self._log is None:
                begun = read_identity(self.database) is not None
                key = load_key(self.path) if begun else load_or_make_key(self.path)
                self._log = open_log(
                    self.database,
                    key,
                    self.settings.origin,
                    self.clock,
                    self.settings.checkpoints,
                    self.remembered,
                )
            return self._log

    def prepare(self) -> None:
        """Make the tables, where they are missing. Raises Unavailable."""
        with reachable(self.database):
            prepare(self.database)

    def verifier(self) -> Verifier:
        """The log's name and public key as the database has them. Raises NotFound when there is no log yet."""
        self.prepare()
        with reachable(self.database):
            found = read_identity(self.database)
        if found is None:
            raise NotFound("audit log: there is none in this database; `brain serve` or `brain worker audit` begins it")
        return found

    def known_key(self) -> Signer | Verifier:
        """The log's own key, when it may be read here, else the public one, with which less can be told.

        Raises NotFound when there is no log yet, Conflict when the key here is not the log's, InvalidInput when the
        key's file is not fit to be used.
        """
        verifier = self.verifier()
        try:
            private = load_key(self.path)
        except (NotFound, Unavailable):
            return verifier
        signer = Signer(verifier.name, private)
        if signer.verifier.key != verifier.key:
            raise Conflict(
                f"audit key: the database names another public key for {verifier.name} than the one in {self.path}: "
                "the database was altered or replaced, or this is the key of another log; with the right public key, "
                "give --key"
            )
        return signer
