"""Cosignatures: witnesses' signatures below a checkpoint, each with the time at which the witness had seen it.

A witness signs a checkpoint only when it continues what the witness signed before. So a log that was rolled back, or
that shows two histories, gets no second signature.

Source: C2SP tlog-cosignature (https://c2sp.org/tlog-cosignature), version 1 with Ed25519.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from brain.audit.note import COSIGNATURE, BadNote, check_name, decode_base64, signature_line, split_note
from brain.errors import InvalidInput

AHEAD = 60
"""Seconds that a witness's clock may be ahead of the reader's."""
_SIGNED = 4 + 8 + 64  # key id, time, signature


@dataclass(frozen=True)
class WitnessKey:
    """The named public key of a witness."""

    name: str
    key: bytes
    """The 32 bytes of the Ed25519 public key."""

    @property
    def id(self) -> bytes:
        """The four bytes before each of its signatures."""
        return sha256(self.name.encode() + b"\n" + COSIGNATURE + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(COSIGNATURE + self.key).decode()}"

    @staticmethod
    def parse(text: str) -> WitnessKey:
        """The key written as `<name>+<id>+<base64>`. Raises InvalidInput, naming the fault."""
        remedy = "write it as the witness prints it: <name>+<8 hex digits>+<base64>"
        parts = text.strip().split("+", 2)
        raw = decode_base64(parts[2]) if len(parts) == 3 else None
        if raw is None:
            raise InvalidInput(f"witness key: {text.strip()[:80]!r} is not one; {remedy}")
        if raw[:1] != COSIGNATURE or len(raw) != 33:
            raise InvalidInput(f"witness key: {parts[2][:80]!r} is no Ed25519 key of a witness; {remedy}")
        found = WitnessKey(check_name(parts[0]), raw[1:])
        if found.id.hex() != parts[1]:
            raise InvalidInput(f"witness key: its id is {found.id.hex()}, not {parts[1]!r}: it was altered; {remedy}")
        return found

    def signed_at(self, note: bytes) -> int | None:
        """The Unix time at which this witness signed the note; None where it did not.

        Raises BadNote for a signature that does not verify.
        """
        text, signatures = split_note(note)
        mine = [blob for name, blob in signatures if name == self.name and blob[:4] == self.id]
        for blob in mine:
            self._check(text, blob)
        return max((int.from_bytes(blob[4:12], "big") for blob in mine), default=None)

    def _check(self, text: str, blob: bytes) -> None:
        if len(blob) != _SIGNED:
            raise BadNote(f"cosignature: that of {self.name} has {len(blob)} bytes, not {_SIGNED}")
        message = _message(text, int.from_bytes(blob[4:12], "big"))
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(blob[12:], message)
        except InvalidSignature:
            raise BadNote(f"cosignature: that of {self.name} does not verify: the note was altered") from None


class Witness:
    """The named private key of a witness."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key: WitnessKey = WitnessKey(check_name(name), private.public_key().public_bytes_raw())

    def line(self, note: bytes, at: int) -> bytes:
        """Its signature line below the note, for the Unix time `at`."""
        text, _ = split_note(note)
        signature = self._private.sign(_message(text, at))
        return signature_line(self.key.name, self.key.id + at.to_bytes(8, "big") + signature)


@dataclass(frozen=True)
class Quorum:
    """Which witnesses are asked, and how many of them must have signed."""

    witnesses: tuple[WitnessKey, ...] = ()
    needed: int = 0

    def __post_init__(self) -> None:
        keys = len({witness.key for witness in self.witnesses})
        if keys < len(self.witnesses) or len({witness.name for witness in self.witnesses}) < keys:
            raise InvalidInput("witness: a key or name is given twice; each witness counts once")
        if not 0 <= self.needed <= keys:
            raise InvalidInput(f"quorum: is {self.needed}, and there are {keys} witnesses; ask for 0 to {keys}")

    def check(self, note: bytes, now: Callable[[], float] = time.time) -> Mapping[str, int]:
        """When each witness signed the note, by name; a time in the future does not count.

        Raises BadNote when fewer than needed did.
        """
        latest = now() + AHEAD
        times = {name: at for name, at in signed_by(note, self.witnesses).items() if at <= latest}
        if len(times) < self.needed:
            missing = ", ".join(witness.name for witness in self.witnesses if witness.name not in times)
            raise BadNote(
                f"witnesses: {len(times)} of them signed the checkpoint, {self.needed} are needed; not: {missing}"
            )
        return times


def signed_by(note: bytes, witnesses: Iterable[WitnessKey]) -> Mapping[str, int]:
    """When each of the witnesses that signed the note did so, by name. Raises BadNote for one that does not verify."""
    found = {witness.name: witness.signed_at(note) for witness in witnesses}
    return {name: at for name, at in found.items() if at is not None}


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
