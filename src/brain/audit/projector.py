"""The projector: appends the stream's events to the log, and signs a checkpoint after each batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, insert, select

from brain.audit.checkpoint import Checkpoint
from brain.audit.handover import Keychain
from brain.audit.local_checkpoint import LocalCheckpoint
from brain.audit.merkle import Frontier, leaf_hash
from brain.audit.models import SearchFields, cause_of, fields_of
from brain.audit.note import BadNote, Signer
from brain.audit.repository import newest_checkpoint, read_keychain
from brain.audit.seal import Sealing
from brain.audit.stored_bytes import stored
from brain.audit.tables import BLOCK, causes, checkpoints, entries, handovers, nodes, types
from brain.audit.tree import STEP, StoredTree, Tampered
from brain.errors import Conflict, InvalidInput, NotFound, Unavailable
from brain.kit.sql import insert_missing, insert_tuples
from brain.logs import Log

if TYPE_CHECKING:
    from brain.kit.projection import Item

log: Log = Log("brain.audit")

KEEP_CHECKPOINTS = 1000
_COLUMNS = ("idx", "leaf_hash", "seal", *SearchFields._fields, "payload")


class AuditProjector:
    """Appends to one log.

    `find_signer` gives the private keys to those that the log has; it is asked again when the log's key was rotated.
    `clock` gives Unix seconds; an entry's `appended_at` never goes back, whatever the clock does. The file
    `local_checkpoint` has the last checkpoint outside the database.
    """

    def __init__(
        self,
        keychain: Keychain,
        find_signer: Callable[[Keychain], Signer],
        clock: Callable[[], float],
        keep_checkpoints: int = KEEP_CHECKPOINTS,
        local_checkpoint: Path | None = None,
    ) -> None:
        self._find_signer = find_signer
        self._clock = clock
        self._keep = keep_checkpoints
        self._local_path = local_checkpoint
        self._signed: tuple[bytes, Checkpoint] | None = None
        self._use(keychain)
        self.sealing: Sealing = Sealing(self.signer.seal_secret())

    def _use(self, keychain: Keychain) -> None:
        self.signer: Signer = self._find_signer(keychain)
        self._keychain = keychain
        path = self._local_path
        self._local = LocalCheckpoint(path, keychain) if path is not None else None

    def apply(self, connection: Connection, items: Sequence[Item]) -> None:
        """Append the items in their order, and sign the tree that has them.

        Raises Tampered, and appends nothing, when the stored entries do not fit the last checkpoint: this log signs no
        checkpoint that is inconsistent with an earlier one.
        """
        if not items:
            return
        frontier, seal, now = self._resume(connection)
        now = max(now, self._clock())
        rows: list[tuple[object, ...]] = []
        caused: list[dict[str, object]] = []
        completed: list[dict[str, object]] = []
        blocks: set[tuple[str, int]] = set()
        last_block = ("", -1)
        for item in items:
            leaf, fields = leaf_hash(item.data), fields_of(item.event, now)
            seal = self.sealing.next(seal, leaf, fields)
            index = frontier.size
            rows.append((index, leaf, seal, *fields, stored(item.data, fields.event_id, fields.type)))
            block = (fields.type, index // BLOCK)
            if block != last_block:
                blocks.add(block)
                last_block = block
            if item.event is not None and (cause := cause_of(item.event)) is not None:
                caused.append({"event_id": fields.event_id, "cause": cause})
            subtrees = frontier.append(leaf)
            if len(subtrees) > STEP:
                completed += [
                    {"level": level, "idx": index >> level, "hash": subtrees[level]}
                    for level in range(STEP, len(subtrees), STEP)
                ]
        insert_tuples(connection, entries, _COLUMNS, rows)
        insert_missing(connection, causes, caused)
        insert_missing(connection, types, [{"type": type, "block": block} for type, block in sorted(blocks)])
        if completed:
            connection.execute(insert(nodes), completed)
        self._sign(connection, frontier)

    def committed(self) -> None:
        """To be called when the transaction of the last `apply` is committed."""
        if self._local is not None and self._signed is not None:
            self._local.keep(*self._signed)

    def _resume(self, connection: Connection) -> tuple[Frontier, bytes, float]:
        """The tree's edge, the last seal and the last time; checked against the last checkpoint."""
        note = newest_checkpoint(connection, locked=True)  # before the hand-overs are counted: a rotation locks it, too
        if connection.scalar(select(func.count()).select_from(handovers)) != len(self._keychain.handovers):
            self._rotated(connection)
        last = connection.execute(
            select(entries.c.idx, entries.c.seal, entries.c.appended_at).order_by(entries.c.idx.desc()).limit(1)
        ).one_or_none()
        size = 0 if last is None else last.idx + 1
        tree = StoredTree(connection)
        frontier = tree.frontier(size)
        signed = self._last_signed(note)
        if (signed.size, signed.root) != (size, frontier.root()):
            raise Tampered(f"the {size} entries are not those of the last checkpoint, which has {signed.size}")
        if self._local is not None:
            self._local.check(tree, size)
        return frontier, self.sealing.first if last is None else last.seal, 0.0 if last is None else last.appended_at

    def _rotated(self, connection: Connection) -> None:
        """Go on with the log's new key. Raises Unavailable while it is not here: nothing is appended until then."""
        keychain = read_keychain(connection)
        try:
            if keychain is not None:
                self._use(keychain)
        except (Conflict, InvalidInput, NotFound) as error:
            raise Unavailable(f"the log's key was rotated: {error}") from error
        log.info("the audit log goes on with a new key", key=str(self.signer.verifier))

    def _last_signed(self, note: bytes | None) -> Checkpoint:
        if note is None:
            return Checkpoint(self.signer.verifier.name, 0, Frontier().root())
        try:
            return self._keychain.open(note)
        except BadNote as error:
            raise Tampered(f"this log has not signed the last checkpoint: {error}") from error

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
