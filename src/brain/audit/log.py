"""The audit log: appending events to it, and the checkpoint that each batch ends with."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from brain.audit.entries import Fields, Sealing, fields_of
from brain.audit.local_checkpoint import Remembered
from brain.audit.merkle import Frontier, leaf_hash
from brain.audit.note import BadNote, Checkpoint, Signer, Verifier
from brain.audit.tables import checkpoints, entries, identity, metadata, nodes
from brain.audit.tree import STEP, StoredTree, Tampered
from brain.charter import Event
from brain.errors import Conflict
from brain.kit.database import create_tables, reading

KEEP_CHECKPOINTS = 1000
_prepared: WeakSet[Engine] = WeakSet()


class Record(Protocol):
    """One record of the stream: its exact bytes, and the event in them, if they are a valid one."""

    @property
    def data(self) -> bytes: ...

    @property
    def event(self) -> Event | None: ...


class AuditLog:
    """The log in a database, for its one writer's key.

    `clock` gives Unix seconds; an entry's `appended_at` never goes back, whatever the clock does. `remembered` is the
    file in which the last checkpoint is kept outside the database.
    """

    def __init__(
        self,
        signer: Signer,
        clock: Callable[[], float],
        keep_checkpoints: int = KEEP_CHECKPOINTS,
        remembered: Path | None = None,
    ) -> None:
        self.signer = signer
        self._remembered = Remembered(remembered, signer.verifier) if remembered is not None else None
        self._signed: tuple[bytes, Checkpoint] | None = None
        self.sealing = Sealing(signer.derive(b"audit seal"))
        self._clock = clock
        self._keep = keep_checkpoints

    def append(self, connection: Connection, records: Sequence[Record]) -> None:
        """Append the records in their order, and sign the tree with them.

        Raises Tampered, and appends nothing, when what is stored is not what the last checkpoint was signed over: this
        log signs no checkpoint that is inconsistent with an earlier one.
        """
        if not records:
            return
        frontier, seal, now = self._resume(connection)
        now = max(now, self._clock())
        rows: list[tuple[object, ...]] = []
        completed: list[dict[str, object]] = []
        for record in records:
            leaf, fields = leaf_hash(record.data), fields_of(record.event, now)
            seal = self.sealing.next(seal, leaf, fields)
            index = frontier.size
            rows.append((index, leaf, seal, *fields, record.data))
            subtrees = frontier.append(leaf)
            completed += [
                {"level": level, "idx": index >> level, "hash": subtrees[level]}
                for level in range(STEP, len(subtrees), STEP)
            ]
        _insert(connection, rows)
        if completed:
            connection.execute(insert(nodes), completed)
        self._sign(connection, frontier)

    def committed(self) -> None:
        """To be called when the transaction of the last `append` is committed."""
        if self._remembered is not None and self._signed is not None:
            self._remembered.keep(*self._signed)

    def _resume(self, connection: Connection) -> tuple[Frontier, bytes, float]:
        """The tree's edge, the last seal and the last time; checked against the last checkpoint."""
        last = connection.execute(
            select(entries.c.idx, entries.c.seal, entries.c.appended_at).order_by(entries.c.idx.desc()).limit(1)
        ).one_or_none()
        size = 0 if last is None else last.idx + 1
        tree = StoredTree(connection)
        frontier = tree.frontier(size)
        note = newest_note(connection)
        if note is None:
            signed = Checkpoint(self.signer.verifier.name, 0, Frontier().root())
        else:
            try:
                signed = Checkpoint.open(note, self.signer.verifier)
            except BadNote as error:
                raise Tampered(f"the last checkpoint is not one that this log has signed: {error}") from error
        if (signed.size, signed.root) != (size, frontier.root()):
            raise Tampered(f"the {size} entries are not those that the last checkpoint, of {signed.size}, speaks for")
        if self._remembered is not None:
            self._remembered.check(tree, size)
        return frontier, self.sealing.first if last is None else last.seal, 0.0 if last is None else last.appended_at

    def _sign(self, connection: Connection, frontier: Frontier) -> None:
        checkpoint = Checkpoint(self.signer.verifier.name, frontier.size, frontier.root())
        note = self.signer.sign(checkpoint.text())
        connection.execute(insert(checkpoints), {"size": checkpoint.size, "note": note})
        self._signed = note, checkpoint
        oldest = connection.scalar(
            select(checkpoints.c.size).order_by(checkpoints.c.size.desc()).offset(self._keep).limit(1)
        )
        if oldest is not None:
            connection.execute(delete(checkpoints).where(checkpoints.c.size <= oldest))


def _insert(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert entries as the driver takes them: through SQLAlchemy's own types it would take half as long again."""
    columns = ("idx", "leaf_hash", "seal", *Fields._fields, "payload")
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    marks = ", ".join([mark] * len(columns))
    connection.exec_driver_sql(f"INSERT INTO {entries.name} ({', '.join(columns)}) VALUES ({marks})", list(rows))


def newest_note(connection: Connection) -> bytes | None:
    """The newest signed checkpoint, None when nothing is logged yet."""
    note: bytes | None = connection.scalar(select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1))
    return note


def open_log(
    database: Engine,
    key: Ed25519PrivateKey,
    origin: str,
    clock: Callable[[], float],
    keep: int = KEEP_CHECKPOINTS,
    remembered: Path | None = None,
) -> AuditLog:
    """The log in this database, begun when there is none, under the name `origin` ("": a random one).

    Raises Conflict when the log there was begun with another key or under another name, Tampered when it has entries
    and no name.
    """
    prepare(database)
    verifier = read_identity(database) or _begin(database, key, origin)
    if verifier.key != key.public_key().public_bytes_raw():
        raise Conflict(
            f"audit key: the log {verifier.name} was begun with another key; bring the file of that key here, "
            "or name it in the setting audit.key_file"
        )
    if origin and origin != verifier.name:
        raise Conflict(f"audit.origin: the log was begun as {verifier.name}, which stands in its checkpoints for good")
    return AuditLog(Signer(verifier.name, key), clock, keep, remembered)


def prepare(database: Engine) -> None:
    """Make the log's tables, where they are missing; looked at once for each engine, as it waits for writers."""
    if database not in _prepared:
        create_tables(database, metadata)
        _prepared.add(database)


def read_identity(database: Engine) -> Verifier | None:
    """The name and public key that the database gives for its log; None when there is none."""
    with reading(database).connect() as connection:
        row = connection.execute(select(identity.c.origin, identity.c.public_key)).one_or_none()
    return None if row is None else Verifier(row.origin, row.public_key)


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
