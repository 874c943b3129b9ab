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

from brain.audit.handover import Keychain
from brain.audit.keys import LogKeys, load_keys, load_or_make_keys
from brain.audit.note import Signer, Verifier
from brain.audit.projector import AuditProjector
from brain.audit.repository import log_keychain, make_tables, read_keychain
from brain.audit.settings import AuditSettings
from brain.audit.tables import entries, identity
from brain.audit.tree import Tampered
from brain.errors import Conflict, NotFound, Unavailable
from brain.kit.database import reachable, reading

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
    `projector_with` raises.
    """
    make_tables(database)  # first: a database that does not answer must not leave a key without a log
    path = key_path(database, settings)
    with reachable(database):
        begun = _read_keychain(database) is not None
    if not begun:
        load_or_make_keys(path)
    return projector_with(database, lambda: load_keys(path), path, settings, clock, checkpoint_path(database, settings))


def projector_with(
    database: Engine,
    load: Callable[[], LogKeys],
    path: Path,
    settings: AuditSettings,
    clock: Callable[[], float],
    local_checkpoint: Path | None,
) -> AuditProjector:
    """The projector of the database's log, with the keys that `load` gives; where there is no log, one is begun.

    `path` is named in errors. Raises Conflict when the log has another key or name, Tampered when it has entries and no
    name, and Unavailable when the database does not answer.
    """
    make_tables(database)
    keys = load()
    with reachable(database):
        chain = _read_keychain(database) or _begin(database, keys.keys[0], settings.origin)
    if settings.origin and settings.origin != chain.name:
        keys.signer(chain, path)
        raise Conflict(
            f"audit.origin: the log was begun as {chain.name}, and its checkpoints keep that name; set audit.origin "
            "to it, or remove the setting"
        )
    return AuditProjector(
        chain, lambda newer: load().signer(newer, path), clock, settings.checkpoints, local_checkpoint
    )


def open_key(database: Engine, settings: AuditSettings) -> Signer | Verifier:
    """The log's own key where this process may read it, else the public key, which cannot check seals.

    Raises NotFound without a log, Conflict when the key here is not the log's, InvalidInput when the key's file cannot
    be used, and Unavailable when the database does not answer.
    """
    chain, path = log_keychain(database), key_path(database, settings)
    try:
        keys = load_keys(path)
    except (NotFound, Unavailable):
        return chain.current
    return keys.signer(chain, path)


def _read_keychain(database: Engine) -> Keychain | None:
    with reading(database).connect() as connection:
        return read_keychain(connection)


def _begin(database: Engine, key: Ed25519PrivateKey, origin: str) -> Keychain:
    verifier = Signer(origin or f"brain-audit/{secrets.token_hex(8)}", key).verifier
    try:
        with database.begin() as connection:
            has_entries = connection.scalar(select(func.max(entries.c.idx))) is not None
            found = read_keychain(connection)  # after the entries: a log has its name before any of them
            if found is not None:
                return found
            if has_entries:
                raise Tampered("the audit log has entries and no name")
            connection.execute(insert(identity), {"id": 1, "origin": verifier.name, "public_key": verifier.key})
    except IntegrityError:  # another process was quicker
        found = _read_keychain(database)
        if found is None:
            raise
        return found
    return Keychain(verifier)
