"""The log's private keys: a PEM file that only its owner can read, made on first use.

It begins with one key. A rotation puts the new key before it, and the secret of the log's seals behind them, which was
derived from the first key and stays. So whoever keeps or moves the log keeps one file.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from brain.audit.handover import Keychain
from brain.audit.note import Signer, decode_base64
from brain.errors import Conflict, InvalidInput, NotFound, Unavailable
from brain.logs import Log
from brain.platform import lock_file
from brain.stream.owned_file import OwnedFile

log: Log = Log("brain.audit")

MODE = 0o600
_SEAL = "BRAIN AUDIT SEAL"
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n(.*?)-----END \1-----(?:\r?\n|$)", re.DOTALL)


@dataclass(frozen=True)
class LogKeys:
    """What is in the file of the log's keys."""

    keys: tuple[Ed25519PrivateKey, ...]
    """The newest first; once the key before it is retired, one."""
    seal: bytes | None = None
    """The secret of the log's seals; None while it is derived from the key."""

    def signer(self, chain: Keychain, path: Path) -> Signer:
        """The signer of the log: its current key, and the one before it while that is not retired.

        Raises Conflict when the current key is not here.
        """
        current = self.find(chain.current.key)
        if current is None:
            raise Conflict(
                f"audit key: the database names another public key for {chain.name} ({chain.current.id.hex()}) than "
                f"those in {path}. Either the log was begun with another key or its key was rotated elsewhere: copy "
                "that file here, or name it in the setting audit.key_file. Or the database was altered or replaced: "
                "if you have the right public key, give it with --key"
            )
        former = self.find(chain.handovers[-1].old.key) if chain.handovers else None
        if chain.handovers and self.seal is None:
            raise Conflict(f"audit key: {path} lacks the secret of the log's seals; restore the whole file")
        return Signer(chain.name, current, former, self.seal)

    def find(self, public: bytes) -> Ed25519PrivateKey | None:
        """The private key to these 32 bytes of a public key; None when it is not here."""
        return next((key for key in self.keys if key.public_key().public_bytes_raw() == public), None)

    def encode(self) -> bytes:
        """The file."""
        parts = [key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for key in self.keys]
        if self.seal is not None:
            text = b64encode(self.seal).decode()
            parts.append(f"-----BEGIN {_SEAL}-----\n{text}\n-----END {_SEAL}-----\n".encode())
        return b"".join(parts)


def load_or_make_keys(path: Path) -> LogKeys:
    """The keys in the file; a new one when there is no such file. Raises what `load_keys` does, and Unavailable."""
    try:
        return load_keys(path)
    except NotFound:
        _make(path)
        return load_keys(path)


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """The one key in the file, as of a witness; a new one when there is no such file."""
    return load_or_make_keys(path).keys[0]


def load_keys(path: Path) -> LogKeys:
    """The keys in the file.

    Raises NotFound without one; InvalidInput when others may read it or it holds no Ed25519 key; Unavailable when this
    process may not read it.
    """
    data = _read(path)
    blocks = [(match[1].decode(), match[0], match[2]) for match in _BLOCK.finditer(data)]
    pems = [pem for kind, pem, _ in blocks if kind != _SEAL]
    seals = [decode_base64(text.decode(errors="replace").strip()) for kind, _, text in blocks if kind == _SEAL]
    if any(seal is None for seal in seals) or len(seals) > 1:
        raise InvalidInput(f"audit key: {path} holds a damaged secret of the log's seals; restore your copy")
    return LogKeys(tuple(_key(path, pem) for pem in pems or [data]), seals[0] if seals else None)


@contextmanager
def changing_keys(path: Path) -> Iterator[None]:
    """Change the file as the only process of this machine. Raises Conflict while another does."""
    try:
        file = OwnedFile(path.with_suffix(".lock"), "ab")
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        if not lock_file(file.fileno()):
            raise Conflict(f"audit key: another process changes {path} now; try again when it is done")
        yield


def add_key(path: Path, chain: Keychain) -> tuple[LogKeys, Signer]:
    """The file's keys with a new one first, and the new one as the signer of the same log. It is written first.

    A key that an earlier attempt left there and no hand-over names is taken.
    """
    keys = load_keys(path)
    signer = keys.signer(chain, path)
    known = {chain.first.key, *(handover.new.key for handover in chain.handovers)}
    unused = [key for key in keys.keys if key.public_key().public_bytes_raw() not in known]
    new = unused[0] if unused else Ed25519PrivateKey.generate()
    kept = (new, *(key for key in keys.keys if key is not new))
    keys = LogKeys(kept, signer.seal_secret())
    _replace(path, keys)
    return keys, Signer(chain.name, new, None, keys.seal)


def drop_former_keys(path: Path, chain: Keychain) -> int:
    """Remove all keys but the current one; how many were removed. Raises Conflict when the current one is not here."""
    keys = load_keys(path)
    keys.signer(chain, path)
    current = keys.find(chain.current.key)
    kept = tuple(key for key in keys.keys if key is current)
    if len(kept) < len(keys.keys):
        _replace(path, replace(keys, keys=kept))
    return len(keys.keys) - len(kept)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(1 << 16)
    except FileNotFoundError as error:
        raise NotFound(
            f"audit key: {path} does not exist; it was made when the log was begun. Restore it from your copy, or "
            "name its place in the setting audit.key_file"
        ) from error
    except OSError as error:
        raise Unavailable(f"audit key: {path} cannot be read: {error.strerror}; check its permissions") from error
    if mode & 0o077:
        raise InvalidInput(
            f"audit key: {path} has mode {mode:04o}: other users may read it and sign as this log; if nobody has, run: "
            f"chmod 600 {path}"
        )
    return data


def _key(path: Path, data: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"audit key: {path} holds no PEM key without a password, restore your copy: {error}"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"audit key: {path} holds a {type(key).__name__}; use an Ed25519 key")
    return key


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; of several processes that try, one wins and the others read its key."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(draft, LogKeys((Ed25519PrivateKey.generate(),)))
        try:
            os.link(draft, path)
            log.info("made the key of the audit log; keep a copy of it", path=str(path))
        except FileExistsError:
            pass  # another process was quicker
        finally:
            draft.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def _replace(path: Path, keys: LogKeys) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(draft, keys)
        draft.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _write(path: Path, keys: LogKeys) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(keys.encode())
        file.flush()
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> Unavailable:
    return Unavailable(f"audit key: {path} cannot be written: {error.strerror}; check the permissions of its folder")
