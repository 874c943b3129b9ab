"""People by OpenID Connect: the authorization code with PKCE, against one provider (OpenID Connect Core 1.0, RFC 7636).

The ID token is verified by joserfc. Keys and metadata are read again when it does not fit them (published_keys.py).
"""

from __future__ import annotations

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlencode

from brain.access.published_keys import IssuerFault, Published, discovered, fetch_json, key_set
from brain.access.settings import ALGORITHMS, OidcSettings
from brain.extras import needs
from brain.logs import Log

log: Log = Log("brain.access.oidc")

LEEWAY = 30
"""Seconds by which the provider's clock may differ."""
_NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")


LoginRefused = IssuerFault
"""The provider, or what it says of a person, does not count."""


class Provider(NamedTuple):
    """What a provider publishes of itself."""

    metadata: Mapping[str, Any]
    keys: Any


class Issuer:
    """One provider, as the settings name it. `clock` gives Unix seconds."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._published = Published(settings.issuer, self._read, clock)

    async def authorization_url(self, state: str, nonce: str, verifier: str, redirect: str) -> str:
        """Where the person's browser is sent. Raises Unavailable when the provider does not answer."""
        metadata = (await self._published.known()).metadata
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        begin = str(metadata["authorization_endpoint"])
        return f"{begin}{'&' if '?' in begin else '?'}{urlencode(asked)}"

    async def check_answer(self, issuer: str | None) -> None:
        """Raises LoginRefused for an answer of another provider than the one that was asked (RFC 9207)."""
        metadata = (await self._published.known()).metadata
        demanded = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and demanded) or (issuer is not None and issuer != metadata["issuer"]):
            raise LoginRefused("the answer is not of the provider that was asked")

    async def claims(self, code: str, verifier: str, nonce: str, redirect: str) -> Mapping[str, Any]:
        """What the provider says of the person. Raises LoginRefused, Unavailable."""
        metadata = (await self._published.known()).metadata
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
        given = await self._exchange(metadata, form)
        token = given.get("id_token")
        if not isinstance(token, str) or len(token) > 64_000:
            raise LoginRefused("the provider gave no ID token")
        claims = dict(await self._verified(token, nonce))
        wanted = {self._settings.name_claim, self._settings.groups_claim}
        if not wanted <= claims.keys() and "userinfo_endpoint" in metadata and "access_token" in given:
            headers = {"Authorization": f"Bearer {given['access_token']}"}
            more = await fetch_json("GET", str(metadata["userinfo_endpoint"]), headers=headers)
            if more.get("sub") != claims["sub"]:
                raise LoginRefused("the provider's userinfo is of somebody else")
            claims = {**more, **claims}
        return claims

    async def _verified(self, token: str, nonce: str) -> Mapping[str, Any]:
        with needs("people by OpenID Connect", "oidc"):
            from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError, UnsupportedAlgorithmError

        for last in (False, True):
            try:
                return self._decoded(await self._published.known(), token, nonce)
            except (InvalidKeyIdError, BadSignatureError, UnsupportedAlgorithmError) as error:
                if last or not await self._published.again():
                    raise LoginRefused(f"the ID token is not signed by a key of the provider: {error}") from error
            except (JoseError, ValueError, TypeError) as error:
                raise LoginRefused(f"the ID token does not count: {error}") from error
        raise AssertionError("the second try returns or raises")

    def _decoded(self, provider: Provider, token: str, nonce: str) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.jwt import JWTClaimsRegistry

        offered = provider.metadata.get("id_token_signing_alg_values_supported", ["RS256"])
        allowed = [name for name in ALGORITHMS if name in offered]
        claims: dict[str, Any] = jwt.decode(token, provider.keys, algorithms=allowed).claims
        JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=LEEWAY,
            iss={"essential": True, "value": provider.metadata["issuer"]},
            aud={"essential": True, "value": self._settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != self._settings.client_id:
            raise LoginRefused("the ID token is for another client: its azp is not ours")
        return claims

    async def _exchange(self, metadata: Mapping[str, Any], form: dict[str, str]) -> Mapping[str, Any]:
        secret = self._settings.client_secret
        more: dict[str, Any] = {}
        if secret is None:
            form["client_id"] = self._settings.client_id
        elif "client_secret_basic" in metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            more["auth"] = (self._settings.client_id, secret.reveal())
        else:
            form |= {"client_id": self._settings.client_id, "client_secret": secret.reveal()}
        return await fetch_json("POST", str(metadata["token_endpoint"]), data=form, **more)

    async def _read(self) -> Provider:
        metadata = await discovered(self._settings.issuer, _NEEDED)
        url = metadata["jwks_uri"]
        return Provider(metadata, key_set(url, await fetch_json("GET", url)))


def new_secret() -> str:
    """A random text of 256 bits, for a state, a nonce, a verifier or a session."""
    return secrets.token_urlsafe(32)
