"""Signed notes: a text with signatures below it, in the form that witnesses and other tools read.

Source: C2SP signed-note (https://c2sp.org/signed-note). The text form of public keys is that of Go's
golang.org/x/mod/sumdb/note: `<name>+<key id in hex>+<base64 of type and key>`.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from brain.errors import InvalidInput

ED25519 = b"\x01"
"""The signature type of an Ed25519 key, in its id and its text form."""
COSIGNATURE = b"\x04"
"""The signature type of a witness's Ed25519 key."""
MAX_NOTE = 64 << 10
"""Bytes; far above what 16 signatures take, which a reader must accept."""

_DASH = "— "
_NAME = re.compile(r"[^\s+]+").fullmatch


class BadNote(InvalidInput):
    """A note or checkpoint is malformed, or not signed by the right key."""

    title = "The signed note is not good"


def check_name(name: str) -> str:
    """The name as given. Raises InvalidInput when it cannot name a key in a note."""
    if not _NAME(name) or not name.isprintable():
        raise InvalidInput(f"origin: {name!r} must be a name without spaces and +, such as example.com/audit")
    return name


@dataclass(frozen=True)
class Verifier:
    """A named public key."""

    name: str
    key: bytes
    """The 32 bytes of the Ed25519 public key."""

    @property
    def id(self) -> bytes:
        """The four bytes before each of its signatures."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(ED25519 + self.key).decode()}"

    @staticmethod
    def parse(text: str) -> Verifier:
        """The key written as `<name>+<id>+<base64>`. Raises InvalidInput, naming the fault."""
        remedy = "write it as `brain audit key` prints it: <name>+<8 hex digits>+<base64>"
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise InvalidInput(f"public key: {text.strip()[:80]!r} is not one; {remedy}")
        name, found_id, encoded = parts
        raw = decode_base64(encoded)
        if raw is not None and raw[:1] == COSIGNATURE:
            raise InvalidInput(f"public key: {name[:80]!r} is the key of a witness; give it with --witness")
        if raw is None or raw[:1] != ED25519 or len(raw) != 33:
            raise InvalidInput(f"public key: {encoded[:80]!r} is no Ed25519 key; {remedy}")
        verifier = Verifier(check_name(name), raw[1:])
        if verifier.id.hex() != found_id:
            raise InvalidInput(f"public key: its id is {verifier.id.hex()}, not {found_id!r}: it was altered; {remedy}")
        return verifier

    def open(self, note: bytes) -> str:
        """The text of the note, once its signature by this key is verified; other keys' signatures are passed over.

        Raises BadNote.
        """
        text, signatures = split_note(note)
        mine = [signature[4:] for name, signature in signatures if name == self.name and signature[:4] == self.id]
        if not mine:
            names = ", ".join(sorted({name for name, _ in signatures}))
            raise BadNote(f"signature: none is by the key {self.name}+{self.id.hex()}; the note is signed by {names}")
        public = Ed25519PublicKey.from_public_bytes(self.key)
        for signature in mine:
            try:
                public.verify(signature, text.encode())
            except InvalidSignature:
                raise BadNote(f"signature: that of {self.name} does not verify: the note was altered") from None
        return text


class Signer:
    """The private keys of one log: the one that signs now, and for an overlap the one before it.

    `seal` is the secret that the log's seals are made with; without one it is derived from the key, as it is until a
    log's key is rotated for the first time.
    """

    def __init__(
        self,
        name: str,
        private: Ed25519PrivateKey,
        former: Ed25519PrivateKey | None = None,
        seal: bytes | None = None,
    ) -> None:
        self._keys = [private] if former is None else [private, former]
        self._seal = seal
        self.verifier: Verifier = _public(check_name(name), private)

    def sign(self, text: str) -> bytes:
        """The text, which must end in a newline, as a note signed by these keys."""
        return text.encode() + b"\n" + b"".join(self._line(key, text) for key in self._keys)

    def seal_secret(self) -> bytes:
        """The secret of 32 bytes that the log's seals are made with. It reveals nothing of the key (RFC 5869)."""
        if self._seal is not None:
            return self._seal
        hkdf = HKDF(SHA256(), 32, salt=None, info=b"audit seal\n" + self.verifier.name.encode())
        return hkdf.derive(self._keys[0].private_bytes_raw())

    def _line(self, key: Ed25519PrivateKey, text: str) -> bytes:
        verifier = _public(self.verifier.name, key)
        return signature_line(verifier.name, verifier.id + key.sign(text.encode()))


def signature_line(name: str, signature: bytes) -> bytes:
    """The line of a note with this signature, which begins with the key's id."""
    return f"{_DASH}{name} {b64encode(signature).decode()}\n".encode()


def split_note(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note, and the name and bytes of each signature, verified by nobody yet."""
    if len(note) > MAX_NOTE:
        raise BadNote(f"note: has {len(note)} bytes, {MAX_NOTE} are allowed")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise BadNote(f"note: is not UTF-8: {error}") from error
    if any(letter < " " and letter != "\n" for letter in whole):
        raise BadNote("note: holds a control character")
    text, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise BadNote("note: needs a text, an empty line, and signature lines")
    signatures = []
    for line in lines[:-1].split("\n"):
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        signature = decode_base64(encoded)
        if not line.startswith(_DASH) or not space or not _NAME(name) or signature is None or len(signature) < 5:
            raise BadNote(f"note: {line[:80]!r} is not a signature line")
        signatures.append((name, signature))
    return text + "\n", signatures


def decode_base64(text: str) -> bytes | None:
    """The bytes; None unless the text is their one canonical spelling: an altered text must not decode the same."""
    try:
        found = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if b64encode(found).decode() == text else None


def _public(name: str, key: Ed25519PrivateKey) -> Verifier:
    return Verifier(name, key.public_key().public_bytes_raw())
