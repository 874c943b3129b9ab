"""Proofs: files which prove that an event is in the log, or that a checkpoint continues an earlier one.

A proof is checked with the public key alone, without the log.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Engine, select

from brain.audit.checkpoint import Checkpoint
from brain.audit.cosignature import Quorum
from brain.audit.handover import Keychain
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
from brain.audit.repository import log_keychain, require_checkpoint, witnessed_checkpoint
from brain.audit.stored_bytes import whole
from brain.audit.tables import entries
from brain.audit.tree import StoredTree, Tampered
from brain.errors import NotFound
from brain.json_text import JSON_FAULTS
from brain.kit.database import reading
from brain.typed import ready


class HandedOver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One hand-over of the log's key, and the proof that the checkpoint continues the log that was handed over."""

    note: Annotated[str, Meta(description="The signed note, with the witnesses' signatures.")]
    hashes: Annotated[list[str], Meta(description="The consistency proof of RFC 6962.")]


_HANDOVERS = "How the log went from key to key until the checkpoint; left out while it has its first key."


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
    handovers: Annotated[list[HandedOver] | msgspec.UnsetType, Meta(description=_HANDOVERS)] = msgspec.UNSET


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
    handovers: list[HandedOver] | msgspec.UnsetType = msgspec.UNSET


Proof = InclusionProof | ConsistencyProof

_decoder = msgspec.json.Decoder(ready(Proof))


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """The claim of a good proof: an entry is in a log, or (no `index`) a log continues one of `old_size` entries."""

    origin: str
    size: int
    root: str
    index: int | None = None
    event: bytes | None = None
    old_size: int | None = None
    old_root: str | None = None
    keys: int = 1
    """How many keys of the log the proof leads through, the trusted one first."""
    witnesses: dict[str, int] = {}
    """When each witness signed the checkpoint, in Unix seconds."""


def encode(proof: Proof) -> bytes:
    """The proof as a file."""
    return msgspec.json.format(msgspec.json.encode(proof)) + b"\n"


def check(data: bytes, key: Verifier, quorum: Quorum | None = None) -> Proven:
    """The claim of the proof file, once it is checked with a public key of the log, any that it ever had.

    With a quorum so many witnesses must have signed the checkpoint, and each hand-over since that key. Raises BadProof,
    BadNote.
    """
    try:
        proof: Proof = _decoder.decode(data)
    except JSON_FAULTS as error:
        raise BadProof(f"proof: is not a proof file: {error}") from error
    quorum, note = quorum or Quorum(), _bytes(proof.checkpoint)
    chain, given = _followed(proof, key)
    checkpoint = chain.open(note)
    if proof.origin != checkpoint.origin:
        raise BadProof(f"origin: the checkpoint is of {checkpoint.origin}, not of {proof.origin}")
    for handover in chain.handovers:
        old = handover.checkpoint
        verify_consistency(old.size, checkpoint.size, old.root, checkpoint.root, given[handover.note])
        quorum.check(handover.note)
    signed = dict(quorum.check(note))
    hashes = [_hash(text) for text in proof.hashes]
    proven = Proven(
        origin=proof.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        keys=1 + len(chain.handovers),
        witnesses=signed,
    )
    if isinstance(proof, ConsistencyProof):
        old = chain.open(_bytes(proof.old_checkpoint))
        verify_consistency(old.size, checkpoint.size, old.root, checkpoint.root, hashes)
        return msgspec.structs.replace(proven, old_size=old.size, old_root=old.root.hex())
    event = _event(proof)
    verify_inclusion(proof.index, checkpoint.size, _hash(proof.leaf_hash), hashes, checkpoint.root)
    return msgspec.structs.replace(proven, index=proof.index, event=event)


def _followed(proof: Proof, key: Verifier) -> tuple[Keychain, dict[bytes, list[bytes]]]:
    """The keys that the proof leads through from the trusted one, and the consistency proof of each hand-over."""
    listed = proof.handovers or []
    given = {_bytes(handed.note): [_hash(text) for text in handed.hashes] for handed in listed}
    return Keychain.follow(key, given), given


def _bytes(note: str) -> bytes:
    return note.encode(errors="surrogatepass")


def prove(database: Engine, event_id: str, signatures: int = 0) -> InclusionProof:
    """The proof of the first entry with that event id, in the newest checkpoint's tree.

    That is the newest that so many witnesses signed; where none of those has the entry, the newest of all. Raises
    NotFound when it is not logged, Tampered when the stored hashes do not lead to the checkpoint's root.
    """
    chain = log_keychain(database)
    with reading(database).connect() as connection:
        row: Any = connection.execute(
            select(entries.c.idx, entries.c.leaf_hash, entries.c.event_id, entries.c.type, entries.c.payload)
            .where(entries.c.event_id == clip_field(event_id))
            .order_by(entries.c.idx)
            .limit(1)
        ).one_or_none()
        if row is None:
            raise NotFound(
                f"audit log: no entry has the event id {event_id!r}; check the id; a new event takes a moment"
            )
        note = witnessed_checkpoint(connection, row.idx + 1, signatures) or require_checkpoint(connection)
        checkpoint = chain.open(note)
        if row.idx >= checkpoint.size:
            raise Tampered(f"no checkpoint covers entry {row.idx}")
        tree = StoredTree(connection)
        hashes = inclusion_proof(row.idx, checkpoint.size, tree.node)
        handed = _handed(chain, checkpoint, tree)
    data = whole(row.payload, row.event_id, row.type)
    try:
        verify_inclusion(row.idx, checkpoint.size, row.leaf_hash, hashes, checkpoint.root)
        if data is not None and leaf_hash(data) != row.leaf_hash:
            raise BadProof("leaf: the payload does not fit its hash")
    except BadProof as error:
        raise Tampered(f"entry {row.idx} cannot be proven: {error}") from error
    return InclusionProof(
        origin=chain.name,
        event_id=row.event_id,
        index=row.idx,
        leaf_hash=row.leaf_hash.hex(),
        hashes=[value.hex() for value in hashes],
        checkpoint=note.decode(),
        event=None if data is None else b64encode(data).decode(),
        handovers=handed,
    )


def prove_consistency(database: Engine, kept: bytes, signatures: int = 0) -> ConsistencyProof:
    """The proof that the log continues the kept checkpoint.

    It leads to the newest checkpoint that so many witnesses signed, where one is not older than the kept one. Raises
    BadNote when that is not of this log, InvalidInput for one of an empty log, Tampered when the log does not continue
    it.
    """
    chain = log_keychain(database)
    with reading(database).connect() as connection:
        old = chain.open(kept)
        note = witnessed_checkpoint(connection, old.size, signatures) or require_checkpoint(connection)
        new = chain.open(note)
        if old.size > new.size:
            raise Tampered(f"the kept checkpoint is of {old.size} entries, the log has {new.size}")
        tree = StoredTree(connection)
        hashes = consistency_proof(old.size, new.size, tree.node)
        handed = _handed(chain, new, tree)
    try:
        verify_consistency(old.size, new.size, old.root, new.root, hashes)
    except BadProof as error:
        raise Tampered(f"the log does not continue the kept checkpoint of {old.size} entries: {error}") from error
    return ConsistencyProof(
        origin=chain.name,
        hashes=[value.hex() for value in hashes],
        old_checkpoint=kept.decode(),
        checkpoint=note.decode(),
        handovers=handed,
    )


def _handed(chain: Keychain, checkpoint: Checkpoint, tree: StoredTree) -> list[HandedOver] | msgspec.UnsetType:
    """The hand-overs until the checkpoint, each with the proof that the checkpoint continues it."""
    size = checkpoint.size
    found = [
        HandedOver(
            note=handover.note.decode(),
            hashes=[value.hex() for value in consistency_proof(handover.checkpoint.size, size, tree.node)],
        )
        for handover in chain.handovers
        if handover.checkpoint.size < size
    ]
    return found or msgspec.UNSET


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
