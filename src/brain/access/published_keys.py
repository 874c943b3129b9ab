"""What an issuer publishes of itself, kept until a token does not fit it: its keys, and what it says beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from brain.errors import InvalidInput, Unavailable
from brain.extras import needs
from brain.logs import Log

log: Log = Log("brain.access.issuers")

T = TypeVar("T")

AGAIN_SECONDS = 30.0
"""How soon it is read again at the earliest, whatever tokens come."""
MOST = 1 << 20
"""Longest answer of an issuer, in bytes."""


class IssuerFault(InvalidInput):
    """An issuer, or what it says of somebody, does not count."""

    title = "The log-in does not count"


class Published(Generic[T]):
    """What `read` gives, read when it is first needed. `issuer` names it in the log; `clock` gives Unix seconds."""

    def __init__(self, issuer: str, read: Callable[[], Awaitable[T]], clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._read = read
        self._clock = clock
        self._known: T | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def known(self) -> T:
        """As it was read last. Raises Unavailable when it never could be."""
        if self._known is None:
            await self.again()
        if self._known is None:
            raise Unavailable(f"the issuer {self._issuer} does not answer; see the log")
        return self._known

    async def again(self) -> bool:
        """Whether it was read just now; those that wait meanwhile share it. What is known goes on when it cannot be."""
        asked = self._read_at
        async with self._reading:
            if self._read_at > asked:
                return True
            if self._known is not None and abs(self._clock() - self._read_at) < AGAIN_SECONDS:
                return False
            try:
                self._known = await self._read()
            except (IssuerFault, Unavailable) as error:
                log.warning("an issuer's keys cannot be read; those known go on", error=str(error))
                return False
            finally:
                self._read_at = self._clock()
            return True


def key_set(where: str, document: Mapping[str, Any]) -> Any:
    """The public keys in a JWKS that can sign; `where` names it in errors. Raises IssuerFault."""
    with needs("tokens of other issuers", "oidc"):
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

    try:
        known = [key for key in document["keys"] if key["kty"] in ("RSA", "EC", "OKP")]
        return KeySet.import_key_set({"keys": known})
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise IssuerFault(f"{where} is no set of keys: {error}") from error


async def fetch_json(method: str, url: str, **more: Any) -> Mapping[str, Any]:
    """The JSON object at the URL. Raises Unavailable, and IssuerFault for another answer."""
    with needs("people by OpenID Connect", "connectors"):
        import httpx

    try:
        async with httpx.AsyncClient(timeout=10, follow_redirects=False) as client:
            answer = await client.request(method, url, **more)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} does not answer: {type(error).__name__}: {error}") from error
    try:
        found = answer.json() if answer.is_success and len(answer.content) <= MOST else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise IssuerFault(f"{url} answered {answer.status_code}, and no JSON object")
    return found


async def discovered(issuer: str, needed: tuple[str, ...]) -> Mapping[str, Any]:
    """The metadata of an issuer, which has these fields. Raises IssuerFault, Unavailable."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    metadata = await fetch_json("GET", url)
    if any(not isinstance(metadata.get(name), str) for name in needed):
        raise IssuerFault(f"{url} lacks one of {', '.join(needed)}")
    if metadata["issuer"].rstrip("/") != issuer.rstrip("/"):
        raise IssuerFault(f"{url} is of the issuer {metadata['issuer'][:200]}, and not of the one in the settings")
    return metadata
