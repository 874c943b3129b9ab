"""The log's private key: a PEM file that only its owner can read, made on first use."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from brain.errors import InvalidInput, NotFound, Unavailable
from brain.logs import Log

log: Log = Log("brain.audit")

MODE = 0o600


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """The key in the file; a new one when there is no such file. Raises what `load_key` does, and Unavailable."""
    try:
        return load_key(path)
    except NotFound:
        _make(path)
        return load_key(path)


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key in the file.

    Raises NotFound without one; InvalidInput when others may read it or it holds no Ed25519 key; Unavailable when this
    process may not read it.
    """
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
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
            log.info("made the key of the audit log; keep a copy of it", path=str(path))
        except FileExistsError:
            pass  # another process was quicker
        finally:
            draft.unlink()
    except OSError as error:
        raise Unavailable(
            f"audit key: {path} cannot be written: {error.strerror}; check the permissions of its folder"
        ) from error
