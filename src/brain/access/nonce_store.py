"""The nonces of handshakes in the store, so that each counts once on all servers of it."""

from __future__ import annotations

from hashlib import sha256

from brain.access.http_signatures import SECONDS
from brain.store import Store

NONCES = "access.nonces"


def remember(store: Store, keyid: str, nonce: str, created: int) -> None:
    """Keep that the nonce was seen. Raises Conflict when it was before, Unavailable."""
    digest = sha256(f"{keyid}\n{nonce}".encode()).hexdigest()
    store.put(NONCES, f"{created:012d}.{digest}", b"", expected=0)


def forget(store: Store, now: float) -> None:
    """Delete those whose signatures no longer count, the oldest first; at most 1,000."""
    for document in store.scan(NONCES, limit=1000):
        if int(document.key[:12]) >= now - 2 * SECONDS:
            return
        store.delete(NONCES, document.key)
