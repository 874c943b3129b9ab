"""What a key looks like: `brn_`, 30 random letters (178 bits), and 6 that check them.

The check is no secret: it tells a typing error or a foreign key without a look-up, and lets scanners find leaked keys.
Source: the form of GitHub's and npm's tokens.
"""

from __future__ import annotations

import secrets
import string
from hashlib import sha256
from zlib import crc32

PREFIX = "brn_"
_LETTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 30, 6


def new_key() -> str:
    """A new random key."""
    body = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM))
    return PREFIX + body + _check(body)


def is_well_formed(text: str) -> bool:
    """Whether the text can be a key: its check fits."""
    body = text[len(PREFIX) :]
    return (
        text.startswith(PREFIX)
        and len(body) == _RANDOM + _CHECK
        and body.isascii()
        and _check(body[:_RANDOM]) == body[_RANDOM:]
    )


def digest_of(key: str) -> str:
    """What is stored in place of the key. One hash is enough: nobody can guess 128 random bits."""
    return sha256(key.encode(errors="replace")).hexdigest()


def _check(body: str) -> str:
    number = crc32(body.encode())
    found = ""
    for _ in range(_CHECK):
        number, place = divmod(number, len(_LETTERS))
        found = _LETTERS[place] + found
    return found
