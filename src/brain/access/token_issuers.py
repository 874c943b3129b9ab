"""Bearers that other issuers gave: services and agents that prove who they are by a JWT (RFC 9068, SPIFFE's JWT-SVID).

A token is verified by joserfc with keys of its issuer alone; what it says of keys itself (jku, x5u, jwk) is not read.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from brain.access.published_keys import IssuerFault, Published, discovered, fetch_json, key_set
from brain.access.settings import IssuerSettings
from brain.access.spiffe import lowered, trust_domain
from brain.errors import Unavailable
from brain.extras import needs

LONGEST = 8 << 10
"""Letters of a token."""
LEEWAY = 30
"""Seconds by which an issuer's clock may differ."""
_TYPES = frozenset({None, "jwt", "at+jwt", "application/at+jwt"})
"""What a bearer calls itself; proofs, log-out and ID tokens for others are none."""
_MOST_KEYS = 8
"""How many keys are tried for a token that names none."""


class TokenFault(IssuerFault):
    """A token proves nothing."""

    title = "The token does not count"


class Verified(NamedTuple):
    """What a token says, once it is verified."""

    issuer: IssuerSettings
    subject: str
    claims: Mapping[str, Any]

    @property
    def id(self) -> str | None:
        """Its jti."""
        found = self.claims.get("jti")
        return found if isinstance(found, str) and found else None

    @property
    def end(self) -> float:
        """When it ends, in Unix seconds."""
        return float(self.claims["exp"])


class TokenIssuers:
    """The issuers of the settings. `clock` gives Unix seconds."""

    def __init__(self, issuers: Sequence[IssuerSettings], clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._issuers = {issuer.issuer: _Issuer(issuer, clock) for issuer in issuers}
        self._domains = {one.trust_domain: self._issuers[one.issuer] for one in issuers if one.trust_domain is not None}

    async def verify(self, token: str) -> Verified:
        """What the token says. Raises TokenFault, naming why it does not count, and Unavailable."""
        if len(token) > LONGEST:
            raise TokenFault(f"the token has {len(token)} letters, {LONGEST} are allowed")
        header, claims = read_token(token)
        kind = header.get("typ")
        if (kind.lower() if isinstance(kind, str) else kind) not in _TYPES:
            raise TokenFault(f"the token is of the type {str(kind)[:40]!r}, and no bearer")
        return await self._issuer(claims).verify(token, header)

    def _issuer(self, claims: Mapping[str, Any]) -> _Issuer:
        """Whose token it says that it is; only that one's keys are tried."""
        issuer, subject = claims.get("iss"), claims.get("sub")
        found = self._issuers.get(issuer) if isinstance(issuer, str) else None
        if found is None and isinstance(subject, str) and (domain := trust_domain(lowered(subject))) is not None:
            found = self._domains.get(domain)
        if found is None:
            raise TokenFault("the token is of no issuer that this server knows")
        return found


class _Issuer:
    def __init__(self, settings: IssuerSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._published = Published(settings.issuer, self._keys, clock)

    async def verify(self, token: str, header: Mapping[str, Any]) -> Verified:
        with needs("tokens of other issuers", "oidc"):
            from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError, UnsupportedAlgorithmError

        for last in (False, True):
            try:
                return self._verified(await self._published.known(), token, header)
            except (InvalidKeyIdError, BadSignatureError, UnsupportedAlgorithmError) as error:
                if last or not await self._published.again():
                    raise TokenFault(f"the token is not signed by a key of its issuer: {error}") from error
            except (JoseError, ValueError, TypeError) as error:
                if isinstance(error, TokenFault):
                    raise
                raise TokenFault(f"the token does not count: {error}") from error
        raise AssertionError("the second try returns or raises")

    def _verified(self, keys: Any, token: str, header: Mapping[str, Any]) -> Verified:
        from joserfc.jwt import JWTClaimsRegistry

        claims = self._decoded(keys, token, header)
        spiffe = self._settings.trust_domain is not None
        JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=LEEWAY,
            aud={"essential": True, "values": list(self._settings.audience)},
            exp={"essential": True},
            sub={"essential": True},
            iat={"essential": not spiffe},
            iss={"essential": not spiffe, **({} if spiffe else {"value": self._settings.issuer})},
        ).validate(claims)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 200 or not subject.isprintable() or " " in subject:
            raise TokenFault("the token's sub is no name of 1 to 200 visible letters")
        if spiffe:
            subject = self._spiffe_id(subject)
        if self._settings.once and not (isinstance(claims.get("jti"), str) and 0 < len(claims["jti"]) <= 200):
            raise TokenFault("the token has no jti, so it is not known whether it was used before")
        return Verified(self._settings, subject, claims)

    def _decoded(self, keys: Any, token: str, header: Mapping[str, Any]) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, InvalidKeyIdError, InvalidKeyTypeError
        from joserfc.jwk import KeySet

        kid = header.get("kid")
        fitting = [key for key in keys.keys if kid is None or key.kid == kid][:_MOST_KEYS]
        if not fitting:
            raise InvalidKeyIdError(f"it has no key {str(kid)[:80]!r}")
        for key in fitting:
            try:
                return dict(jwt.decode(token, KeySet([key]), algorithms=list(self._settings.algorithms)).claims)
            except (BadSignatureError, InvalidKeyTypeError):
                continue  # the next key; without a kid several may be meant
        raise BadSignatureError

    def _spiffe_id(self, subject: str) -> str:
        id = lowered(subject)
        if trust_domain(id) != self._settings.trust_domain:
            raise TokenFault(f"the token's sub {subject[:80]!r} is no SPIFFE id of {self._settings.issuer}")
        return id

    async def _keys(self) -> Any:
        place = self._settings.jwks
        if not place:
            place = (await discovered(self._settings.issuer, ("issuer", "jwks_uri")))["jwks_uri"]
        if place.startswith(("http://", "https://")):
            return key_set(place, await fetch_json("GET", place))
        return await asyncio.to_thread(_keys_in, place, self._settings.issuer)


def faults_of_files(issuers: Sequence[IssuerSettings]) -> list[str]:
    """Why the keys of issuers that stand in a file cannot be read now; a sentence each. Blocks."""
    found = []
    for one in issuers:
        if one.jwks and not one.jwks.startswith(("http://", "https://")):
            try:
                _keys_in(one.jwks, one.issuer)
            except (IssuerFault, Unavailable) as error:
                found.append(str(error))
    return found


def _keys_in(path: str, issuer: str) -> Any:
    """The keys in a file. Raises IssuerFault, Unavailable."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unavailable(f"the keys of {issuer} cannot be read: {path}: {error}") from error
    return key_set(path, document if isinstance(document, dict) else {})


def looks_like_token(bearer: str) -> bool:
    """Whether a bearer is a JWT, by its form: a JSON object in base64, and two dots."""
    return bearer.startswith("eyJ") and bearer.count(".") == 2


def read_token(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The header and the claims, believed by nobody yet. Raises TokenFault."""
    from base64 import urlsafe_b64decode

    found = []
    for part in token.split(".")[:2]:
        try:
            value = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise TokenFault("the token is no JWT")
        found.append(value)
    return found[0], found[1]
