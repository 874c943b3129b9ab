"""Browser sessions: what `/login` gives for a key."""

from __future__ import annotations

import hmac
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from brain.server.known_keys import KnownKeys

COOKIE = "brain_session"
SESSION_SECONDS = 12 * 3600


class Sessions:
    """Browser sessions without a table: a cookie names a key and the time of its end, with a MAC of both.

    What ends the key ends its sessions.
    """

    def __init__(self, keys: KnownKeys) -> None:
        self._keys = keys

    def issue(self, digest: str) -> str:
        """A new cookie value, for the key with this digest."""
        end = str(int(self._keys.clock()) + SESSION_SECONDS)
        return f"{end}.{digest[:_SIGN]}.{_mac(digest, end)}"

    def digest_in(self, headers: Headers) -> str | None:
        """The digest of the key that a session cookie of these headers was issued for; None without a valid one."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return None if cookie is None else self.digest_of(cookie.value)

    def digest_of(self, cookie: str) -> str | None:
        """The digest of the key that the value was issued for; None unless it is whole and has not expired."""
        end, _, rest = cookie.partition(".")
        sign, _, mac = rest.partition(".")
        digest = self._keys.by_sign(sign) if len(sign) == _SIGN else None
        if digest is None or not hmac.compare_digest(mac.encode(errors="replace"), _mac(digest, end).encode()):
            return None
        return digest if end.isdecimal() and int(end) > self._keys.clock() else None


_SIGN = 16
"""How many letters of a key's digest a cookie shows."""


def _mac(digest: str, end: str) -> str:
    return hmac.new(digest.encode(), b"brain session until " + end.encode(errors="replace"), sha256).hexdigest()
