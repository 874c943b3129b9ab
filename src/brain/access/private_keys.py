"""Private keys of agents: PEM files that only their owner can read."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from brain.errors import InvalidInput


def make_private_key(path: Path) -> str:
    """Write a new key to the file, and return its public key in base64. Raises InvalidInput where a file is."""
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput(f"out: {path} cannot be written: {error.strerror}; name a new file") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The key in the file. Raises InvalidInput, naming it."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise InvalidInput(f"key: {path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"key: {path} holds no PEM key without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"key: {path} holds a {type(key).__name__}; use an Ed25519 key")
    return key
