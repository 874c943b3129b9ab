"""A witness of other audit logs: signs a checkpoint when it continues what it signed before, and never else.

Source: C2SP tlog-witness (https://c2sp.org/tlog-witness).
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from http import HTTPStatus

from brain.audit.checkpoint import Checkpoint
from brain.audit.cosignature import Witness
from brain.audit.handover import Handover
from brain.audit.merkle import EMPTY_ROOT, SIZE, BadProof, verify_consistency
from brain.audit.note import BadNote, Verifier, decode_base64, split_note
from brain.audit.witness_client import SIZE_TYPE
from brain.audit.witness_store import Signed, WitnessStore, heirs_in, last_in, put_heir_in, put_in
from brain.errors import BrainError
from brain.logs import Log

log: Log = Log("brain.audit.witness")

LONGEST = 256 << 10
"""Bytes of a request."""
_HASHES = 63


class NotWitnessed(BrainError):
    """The witness does not sign this. `status` is that of HTTP, `body` what is answered."""

    title = "The witness does not sign"

    def __init__(self, status: HTTPStatus, message: str, body: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body: str = body if body is not None else f"{message}\n"
        self.media_type: str = "text/plain; charset=utf-8" if body is None else SIZE_TYPE


class WitnessService:
    """Signs checkpoints of the logs whose public keys it is given; several keys of one log may be given."""

    def __init__(
        self,
        witness: Witness,
        store: WitnessStore,
        logs: Iterable[Verifier],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.witness = witness
        self._store = store
        self._clock = clock
        self._logs: dict[str, list[Verifier]] = {}
        for key in logs:
            self._logs.setdefault(key.name, []).append(key)

    def add_checkpoint(self, body: bytes) -> bytes:
        """The witness's signature line for the checkpoint in a request's body. Raises NotWitnessed, Unavailable."""
        old, proof, note = _parse(body)
        try:
            checkpoint = Checkpoint.parse(split_note(note)[0])
        except BadNote as error:
            raise NotWitnessed(HTTPStatus.BAD_REQUEST, str(error)) from error
        origin, now = checkpoint.origin, int(self._clock())
        if origin not in self._logs:
            raise NotWitnessed(HTTPStatus.NOT_FOUND, f"origin: {origin} is no log of this witness")
        with self._store.changing() as db:
            lines = _lines_of_keys(self._logs[origin], heirs_in(db, origin))
            line, key = _signer(note, lines)
            _check_heir(note, heirs_in(db, origin))
            if old > checkpoint.size:
                raise NotWitnessed(HTTPStatus.BAD_REQUEST, f"old: is {old}, the checkpoint has {checkpoint.size}")
            last = last_in(db, origin)
            known = last.size if last is not None else 0
            if old != known:
                raise NotWitnessed(HTTPStatus.CONFLICT, f"old: is {old}, signed are {known}", f"{known}\n")
            _check_continues(last, checkpoint, proof)
            put_in(db, origin, Signed(checkpoint.size, checkpoint.root, note, now))
            _follow(db, note, line, key)
        return self.witness.line(note, now)

    def last(self, name: str) -> bytes | None:
        """The last signed checkpoint, with the witness's line, of the log whose origin has this SHA-256 in hex."""
        for origin in self._logs:
            if sha256(origin.encode()).hexdigest() == name:
                signed = self._store.last(origin)
                return None if signed is None else signed.note + self.witness.line(signed.note, signed.signed_at)
        return None


def _lines_of_keys(first: Iterable[Verifier], heirs: Mapping[str, tuple[str, bool]]) -> list[list[Verifier]]:
    """For each key that the operator gave: itself and its heirs, the newest last, without those that count no more."""
    lines = []
    for key in first:
        line = [key]
        while (found := heirs.get(str(line[-1]))) is not None:
            heir, settled = Verifier.parse(found[0]), found[1]
            line = [heir] if settled else [*line, heir]
        lines.append(line)
    return lines


def _signer(note: bytes, lines: list[list[Verifier]]) -> tuple[list[Verifier], Verifier]:
    """The newest trusted key that signed the note, and the line of keys that it is in."""
    problem = "no key of the log is trusted"
    for line in lines:
        for key in reversed(line):
            try:
                Checkpoint.open(note, key)
            except BadNote as error:
                problem = str(error)
            else:
                return line, key
    raise NotWitnessed(HTTPStatus.FORBIDDEN, problem)


def _follow(db: sqlite3.Connection, note: bytes, line: list[Verifier], key: Verifier) -> None:
    """Take the heir that a hand-over names; give up the key before one that signs for itself."""
    handover = _handover(note)
    if handover is not None and handover.old in line:
        put_heir_in(db, key.name, str(handover.old), str(handover.new), settled=False)
        log.info("a log's key is handed over", origin=key.name, key=str(handover.new))
    elif handover is None and line.index(key) > 0:
        for old, new in itertools.pairwise(line[: line.index(key) + 1]):
            put_heir_in(db, key.name, str(old), str(new), settled=True)


def _check_heir(note: bytes, heirs: Mapping[str, tuple[str, bool]]) -> None:
    """Refuse a hand-over back to a key that led to its signer: who follows the heirs would go round in a circle."""
    handover = _handover(note)
    key = None if handover is None else str(handover.new)
    while handover is not None and key is not None:
        if key == str(handover.old):
            raise NotWitnessed(HTTPStatus.FORBIDDEN, f"hand-over: {handover.new} had the log before; make a new key")
        key = heirs[key][0] if key in heirs else None


def _parse(body: bytes) -> tuple[int, list[bytes], bytes]:
    """The old size, the consistency proof and the note of a request."""
    head, blank, note = body.partition(b"\n\n")
    first, *lines = head.decode(errors="replace").split("\n")
    word, _, digits = first.partition(" ")
    hashes = [decode_base64(line) for line in lines]
    sized = digits.isascii() and digits.isdigit() and str(int(digits[:20])) == digits
    if not blank or word != "old" or not sized:
        raise NotWitnessed(HTTPStatus.BAD_REQUEST, "body: begins with `old SIZE`; then hashes, an empty line, a note")
    if len(hashes) > _HASHES or any(value is None or len(value) != SIZE for value in hashes):
        raise NotWitnessed(HTTPStatus.BAD_REQUEST, f"proof: has at most {_HASHES} lines of {SIZE} bytes in base64")
    return int(digits), [value for value in hashes if value is not None], note


def _check_continues(last: Signed | None, checkpoint: Checkpoint, proof: list[bytes]) -> None:
    if last is None or last.size == 0:
        if proof or (checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT):
            raise NotWitnessed(HTTPStatus.UNPROCESSABLE_ENTITY, "proof: nothing was signed yet, so none is needed")
        return
    try:
        verify_consistency(last.size, checkpoint.size, last.root, checkpoint.root, proof)
    except BadProof as error:
        log.warning(
            "a log shows another history than before; nothing was signed",
            origin=checkpoint.origin,
            size=checkpoint.size,
            signed=last.size,
        )
        raise NotWitnessed(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


def _handover(note: bytes) -> Handover | None:
    try:
        return Handover.open(note)
    except BadNote:
        return None  # an ordinary checkpoint
