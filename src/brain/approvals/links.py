"""The links: who may answer what until when, with a MAC of that. Nothing is stored of them but the key.

A link is bound to what is asked: the digest of the request is in it. That it counts once is seen from the request
itself, which holds who has answered.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from brain.connectors.urls import sends_in_the_clear
from brain.errors import Conflict, InvalidInput
from brain.kit.protocols import AskedApproval
from brain.store import Store

COLLECTION = "approvals.secrets"
KEY = "links"
PREFIX = "brl_"
"""What tokens begin with: redaction knows them by it."""
PATH = "/open/approvals/"
LONGEST = 400
"""Letters of a token."""
_MAC = 32
_DIGEST = 32
"""Letters of a request's digest that a link is bound to: 128 bits."""
_PURPOSE = b"brain approval link v1\n"


class Link(NamedTuple):
    """What a link says, once its MAC was verified."""

    approval_id: str
    name: str
    digest: str
    expires_at: int

    def is_for(self, asked: AskedApproval) -> bool:
        """Whether this is still what is asked."""
        return hmac.compare_digest(self.digest, asked.digest[:_DIGEST])


class Links:
    """Makes and reads the links of all servers of a store, by one key that is kept there for them alone.

    The key is read each time: to delete it ends all links, on all servers.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def token(self, asked: AskedApproval, name: str) -> str:
        """The token by which `name` answers, until the request's end. Blocks. Raises Unavailable."""
        body = "\n".join((str(int(asked.expires_at)), asked.id, asked.digest[:_DIGEST], name)).encode()
        return PREFIX + urlsafe_b64encode(self._mac(body) + body).decode().rstrip("=")

    def read(self, token: str) -> Link | None:
        """What a token says; None for one that this store's servers did not make. Blocks. Raises Unavailable."""
        if not token.startswith(PREFIX) or len(token) > LONGEST or not token.isascii():
            return None
        text = token[len(PREFIX) :]
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        mac, body = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        end, approval_id, digest, name = body.decode().split("\n")
        return Link(approval_id, name, digest, int(end))

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key(), _PURPOSE + body, "sha256")

    def _key(self) -> bytes:
        while (found := self._store.get(COLLECTION, KEY)) is None:
            with suppress(Conflict):  # another process has made it just now
                self._store.put(COLLECTION, KEY, secrets.token_bytes(32), expected=0)
        return found.data


def base_url(urls: Sequence[str]) -> str:
    """The public URL that links begin with. Raises InvalidInput where there is none that keeps them secret."""
    if not urls:
        raise InvalidInput(
            'access.urls: is empty; links need the public URL, such as urls = ["https://brain.example.org"]'
        )
    if sends_in_the_clear(urls[0]):
        raise InvalidInput(f"access.urls: links by {urls[0]} could be read on their way; put an https:// URL first")
    return urls[0]
