"""Opening the log of a database: its key, and the projector that appends to it with that key."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from brain.audit.keys import load_key, load_or_make_key
from brain.audit.note import Signer, Verifier
from brain.audit.projector import AuditProjector
from brain.audit.repository import log_verifier, make_tables, read_identity
from brain.audit.settings import AuditSettings
from brain.audit.tables import entries, identity
from brain.audit.tree import Tampered
from brain.errors import Conflict, NotFound, Unavailable
from brain.kit.database import reachable

if TYPE_CHECKING:
    from brain.settings import Settings

DEFAULT_KEY = "brain-audit.key"


def key_path(database: Engine, settings: AuditSettings) -> Path:
    """The file of the key: the setting's, or one beside the SQLite database, or in the current folder."""
    if settings.key_file is not None:
        return settings.key_file
    if database.dialect.name != "sqlite" or not database.url.database:
        return Path(DEFAULT_KEY)
    path = Path(database.url.database)
    return path.with_name(f"{path.stem.removesuffix('-consumers')}-audit.key")


def checkpoint_path(database: Engine, settings: AuditSettings) -> Path:
    """The file, beside the key, of the last checkpoint that this machine signed."""
    return key_path(database, settings).with_suffix(".checkpoint")


def state_files(database: Engine, settings: Settings) -> Mapping[str, Path]:
    """What a backup takes along: the key, and the last checkpoint that this machine signed."""
    mine = settings.table(AuditSettings)
    return {"audit.key": key_path(database, mine), "audit.checkpoint": checkpoint_path(database, mine)}


def open_projector(database: Engine, settings: AuditSettings, clock: Callable[[], float] = time.time) -> AuditProjector:
    """The projector of the database's log; where there is no log, one is begun, with a new key if there is none.

    Raises NotFound when the log's key is not here, InvalidInput when its file cannot be used, and what
    `projector_with_key` raises.
    """
    make_tables(database)  # first: a database that does not answer must not leave a key without a log
    path = key_path(database, settings)
    with reachable(database):
        begun = read_identity(database) is not None
    key = load_key(path) if begun else load_or_make_key(path)
    return projector_with_key(database, key, settings, clock, checkpoint_path(database, settings))


def projector_with_key(
    database: Engine,
    key: Ed25519PrivateKey,
    settings: AuditSettings,
    clock: Callable[[], float] = time.time,
    local_checkpoint: Path | None = None,
) -> AuditProjector:
    """The projector of the database's log, with this key; where there is no log, one is begun.

    Raises Conflict when the log was begun with another key or name, Tampered when it has entries and no name, and
    Unavailable when the database does not answer.
    """
    make_tables(database)
    with reachable(database):
        verifier = read_identity(database) or _begin(database, key, settings.origin)
    if verifier.key != key.public_key().public_bytes_raw():
        raise Conflict(
            f"audit key: the log {verifier.name} was begun with another key; copy the file of that key here, or name "
            "it in the setting audit.key_file"
        )
    if settings.origin and settings.origin != verifier.name:
        raise Conflict(
            f"audit.origin: the log was begun as {verifier.name}, and its checkpoints keep that name; set audit.origin "
            "to it, or remove the setting"
        )
    return AuditProjector(Signer(verifier.name, key), clock, settings.checkpoints, local_checkpoint)


def open_key(database: Engine, settings: AuditSettings) -> Signer | Verifier:
    """The log's own key where this process may read it, else the public key, which cannot check seals.

    Raises NotFound without a log, Conflict when the key here is not the log's, InvalidInput when the key's file cannot
    be used, and Unavailable when the database does not answer.
    """
    verifier, path = log_verifier(database), key_path(database, settings)
    try:
        private = load_key(path)
    except (NotFound, Unavailable):
        return verifier
    signer = Signer(verifier.name, private)
    if signer.verifier.key != verifier.key:
        raise Conflict(
            f"audit key: the database names another public key for {verifier.name} than the one in {path}. Either the "
            "database was altered or replaced, or the file has the key of another log; if you have the right public "
            "key, give it with --key"
        )
    return signer


def _begin(database: Engine, key: Ed25519PrivateKey, origin: str) -> Verifier:
    verifier = Signer(origin or f"brain-audit/{secrets.token_hex(8)}", key).verifier
    try:
        with database.begin() as connection:
            if connection.scalar(select(func.max(entries.c.idx))) is not None:
                raise Tampered("the audit log has entries and no name")
            connection.execute(insert(identity), {"id": 1, "origin": verifier.name, "public_key": verifier.key})
    except IntegrityError:  # another process was quicker
        found = read_identity(database)
        if found is None:
            raise
        return found
    return verifier
