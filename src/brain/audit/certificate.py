"""Certificates of erasures: what was erased where, and what remains, signed with the audit log's key as a note.

The text is a first line that no checkpoint has, and one line of JSON: whoever has the public key can check it offline.
"""

from __future__ import annotations

import msgspec

from brain.audit.note import BadNote, Signer, Verifier, split_note
from brain.typed import ready

_FIRST = "brain-eventstream certificate of erasure 1"


class Remains(msgspec.Struct, frozen=True):
    """What still names the subject: where, why, and until when or what to do."""

    place: str
    why: str
    until: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did. `subject` is the keyed mark of it. Times are Unix seconds.

    `counts` has by place how much was changed. `log_before` and `log_after` are the audit log's newest checkpoints.
    """

    id: str
    subject: str
    reason: str
    by: str
    began: float
    ended: float
    counts: dict[str, int]
    remains: list[Remains]
    log_before: str
    log_after: str


def sign(certificate: Certificate, signer: Signer) -> bytes:
    """The certificate as a signed note."""
    return signer.sign(f"{_FIRST}\n{msgspec.json.encode(certificate).decode()}\n")


def read(note: bytes) -> Certificate:
    """The certificate in a note of this very log's database, whose signature nobody has verified. Raises BadNote."""
    return _decoded(split_note(note)[0])


def check(note: bytes, key: Verifier) -> Certificate:
    """The certificate in the note, once its signature by the key is verified. Raises BadNote."""
    return _decoded(key.open(note))


def _decoded(text: str) -> Certificate:
    first, _, rest = text.partition("\n")
    if first != _FIRST:
        raise BadNote(f"certificate: begins with {first[:80]!r}: it is another note than a certificate of erasure")
    try:
        return msgspec.json.decode(rest, type=ready(Certificate))
    except ValueError as error:
        raise BadNote(f"certificate: is of another version: {error}") from error
