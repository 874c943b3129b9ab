"""Proof files: that an event is in the log, or that a checkpoint continues an earlier one. Checked without the log."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, select

from brain.audit.entries import kept
from brain.audit.log import newest_note, read_identity
from brain.audit.merkle import (
    SIZE,
    BadProof,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from brain.audit.note import Checkpoint, Verifier
from brain.audit.tables import entries
from brain.audit.tree import StoredTree, Tampered
from brain.errors import NotFound
from brain.kit.database import reading


class InclusionProof(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="brain-audit-inclusion"
):
    """That the event is entry `index` of the log that the checkpoint speaks for."""

    origin: str
    event_id: str | None
    index: int
    leaf_hash: str
    hashes: list[str]
    """The audit path of RFC 6962 from the leaf up, in hexadecimal."""
    checkpoint: str
    event: str | None
    """The event's exact bytes in base64; null once retention has deleted them."""


class ConsistencyProof(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="brain-audit-consistency",
):
    """That the log of the newer checkpoint begins with the whole log of the older one."""

    origin: str
    hashes: list[str]
    old_checkpoint: str
    checkpoint: str


Proof = InclusionProof | ConsistencyProof

_decoder = msgspec.json.Decoder(Proof)


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof proves: an entry of a log, or (without `index`) that it continues the log of `old_size` entries."""

    origin: str
    size: int
    root: str
    index: int | None = None
    event: bytes | None = None
    old_size: int | None = None
    old_root: str | None = None


def encode(proof: Proof) -> bytes:
    """The proof as a file."""
    return msgspec.json.format(msgspec.json.encode(proof)) + b"\n"


def check(data: bytes, key: Verifier) -> Proven:
    """What the proof file proves to who trusts the key. Raises BadProof, BadNote."""
    try:
        proof: Proof = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadProof(f"proof: is not a proof file: {error}") from error
    checkpoint = Checkpoint.open(proof.checkpoint.encode(errors="surrogatepass"), key)
    if proof.origin != checkpoint.origin:
        raise BadProof(f"origin: the checkpoint is of {checkpoint.origin}, not of {proof.origin}")
    hashes = [_hash(text) for text in proof.hashes]
    if isinstance(proof, ConsistencyProof):
        old = Checkpoint.open(proof.old_checkpoint.encode(errors="surrogatepass"), key)
        verify_consistency(old.size, checkpoint.size, old.root, checkpoint.root, hashes)
        return Proven(
            origin=proof.origin,
            size=checkpoint.size,
            root=checkpoint.root.hex(),
            old_size=old.size,
            old_root=old.root.hex(),
        )
    event = _event(proof)
    verify_inclusion(proof.index, checkpoint.size, _hash(proof.leaf_hash), hashes, checkpoint.root)
    return Proven(origin=proof.origin, size=checkpoint.size, root=checkpoint.root.hex(), index=proof.index, event=event)


def prove(database: Engine, event_id: str) -> InclusionProof:
    """The proof of the first entry with that event id, in the newest checkpoint's tree.

    Raises NotFound when it is not logged, Tampered when what is stored does not lead to the checkpoint's root.
    """
    with reading(database).connect() as connection:
        key = _key(database)
        row: Any = connection.execute(
            select(entries.c.idx, entries.c.leaf_hash, entries.c.event_id, entries.c.payload)
            .where(entries.c.event_id == kept(event_id))
            .order_by(entries.c.idx)
            .limit(1)
        ).one_or_none()
        if row is None:
            raise NotFound(f"audit log: no entry has the event id {event_id!r}; the event may not be logged yet")
        note, checkpoint = _newest(connection, key)
        if row.idx >= checkpoint.size:
            raise Tampered(f"no checkpoint speaks for entry {row.idx}")
        hashes = inclusion_proof(row.idx, checkpoint.size, StoredTree(connection).node)
    try:
        verify_inclusion(row.idx, checkpoint.size, row.leaf_hash, hashes, checkpoint.root)
        if row.payload is not None and leaf_hash(row.payload) != row.leaf_hash:
            raise BadProof("leaf: the payload does not fit its hash")
    except BadProof as error:
        raise Tampered(f"entry {row.idx} cannot be proven: {error}") from error
    return InclusionProof(
        origin=key.name,
        event_id=row.event_id,
        index=row.idx,
        leaf_hash=row.leaf_hash.hex(),
        hashes=[value.hex() for value in hashes],
        checkpoint=note.decode(),
        event=None if row.payload is None else b64encode(row.payload).decode(),
    )


def prove_consistency(database: Engine, kept: bytes) -> ConsistencyProof:
    """The proof that the log continues the kept checkpoint.

    Raises BadNote when it is not of this log, InvalidInput for one of an empty log, Tampered when the log does not
    continue it.
    """
    with reading(database).connect() as connection:
        key = _key(database)
        old = Checkpoint.open(kept, key)
        note, new = _newest(connection, key)
        if old.size > new.size:
            raise Tampered(f"the kept checkpoint is of {old.size} entries, the log has {new.size}")
        hashes = consistency_proof(old.size, new.size, StoredTree(connection).node)
    try:
        verify_consistency(old.size, new.size, old.root, new.root, hashes)
    except BadProof as error:
        raise Tampered(f"the log does not continue the kept checkpoint of {old.size} entries: {error}") from error
    return ConsistencyProof(
        origin=key.name,
        hashes=[value.hex() for value in hashes],
        old_checkpoint=kept.decode(),
        checkpoint=note.decode(),
    )


def _key(database: Engine) -> Verifier:
    key = read_identity(database)
    if key is None:
        raise NotFound("audit log: there is none in this database yet; `brain serve` or `brain worker audit` begins it")
    return key


def _newest(connection: Connection, key: Verifier) -> tuple[bytes, Checkpoint]:
    note = newest_note(connection)
    if note is None:
        raise NotFound("audit log: nothing is logged yet")
    return note, Checkpoint.open(note, key)


def _event(proof: InclusionProof) -> bytes | None:
    if proof.event is None:
        return None
    try:
        data = b64decode(proof.event, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadProof(f"event: is not base64: {error}") from error
    if leaf_hash(data).hex() != proof.leaf_hash:
        raise BadProof("event: its hash is not the proof's leaf_hash")
    return data


def _hash(text: str) -> bytes:
    if len(text) != 2 * SIZE or not set(text) <= set("0123456789abcdef"):
        raise BadProof(f"hashes: {text[:80]!r} is not {2 * SIZE} hexadecimal digits")
    return bytes.fromhex(text)
