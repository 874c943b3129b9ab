"""Proofs: files which prove that an event is in the log, or that a checkpoint continues an earlier one.

A proof is checked with the public key alone, without the log.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Engine, select

from brain.audit.checkpoint import Checkpoint
from brain.audit.merkle import (
    SIZE,
    BadProof,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)
from brain.audit.models import clip_field
from brain.audit.note import Verifier
from brain.audit.repository import log_verifier, require_checkpoint
from brain.audit.tables import entries
from brain.audit.tree import StoredTree, Tampered
from brain.errors import NotFound
from brain.json_text import JSON_FAULTS
from brain.kit.database import reading


class InclusionProof(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="brain-audit-inclusion"
):
    """A proof file: `brain audit verify-proof` checks it without this server.

    It proves that the event is entry `index` of the log of the checkpoint. Hashes are in hexadecimal.
    """

    origin: Annotated[str, Meta(description="The log's name.")]
    event_id: Annotated[str | None, Meta(description="The event's id.")]
    index: Annotated[int, Meta(description="The entry's number.")]
    leaf_hash: Annotated[str, Meta(description="The RFC 6962 hash over the event's exact bytes.")]
    hashes: Annotated[list[str], Meta(description="The audit path of RFC 6962, from the leaf up.")]
    checkpoint: Annotated[str, Meta(description="The signed checkpoint whose tree the entry is in.")]
    event: Annotated[str | None, Meta(description="The exact bytes in base64; null once they are deleted.")]


class ConsistencyProof(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="brain-audit-consistency",
):
    """Proves that the log of the newer checkpoint begins with the whole log of the older one."""

    origin: str
    hashes: list[str]
    old_checkpoint: str
    checkpoint: str


Proof = InclusionProof | ConsistencyProof

_decoder = msgspec.json.Decoder(Proof)


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """The claim of a good proof: an entry is in a log, or (no `index`) a log continues one of `old_size` entries."""

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
    """The claim of the proof file, once it is checked with the log's public key. Raises BadProof, BadNote."""
    try:
        proof: Proof = _decoder.decode(data)
    except JSON_FAULTS as error:
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

    Raises NotFound when it is not logged, Tampered when the stored hashes do not lead to the
    checkpoint's root.
    """
    key = log_verifier(database)
    with reading(database).connect() as connection:
        row: Any = connection.execute(
            select(entries.c.idx, entries.c.leaf_hash, entries.c.event_id, entries.c.payload)
            .where(entries.c.event_id == clip_field(event_id))
            .order_by(entries.c.idx)
            .limit(1)
        ).one_or_none()
        if row is None:
            raise NotFound(
                f"audit log: no entry has the event id {event_id!r}; check the id; a new event takes a moment"
            )
        note, checkpoint = _newest(connection, key)
        if row.idx >= checkpoint.size:
            raise Tampered(f"no checkpoint covers entry {row.idx}")
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
    key = log_verifier(database)
    with reading(database).connect() as connection:
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


def _newest(connection: Connection, key: Verifier) -> tuple[bytes, Checkpoint]:
    note = require_checkpoint(connection)
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
