"""People by OpenID Connect: the authorization code with PKCE, against one provider (OpenID Connect Core 1.0, RFC 7636).

The ID token is verified by joserfc. Keys and metadata are read again when a token does not fit them, at most once in
`AGAIN_SECONDS`, and those known go on while the provider is away.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from brain.access.settings import OidcSettings
from brain.errors import InvalidInput, Unavailable
from brain.extras import needs
from brain.logs import Log

log: Log = Log("brain.access.oidc")

AGAIN_SECONDS = 30.0
LEEWAY = 30
"""Seconds by which the provider's clock may differ."""
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "Ed25519")
MOST = 1 << 20
"""Longest answer of a provider, in bytes."""


class LoginRefused(InvalidInput):
    """The provider, or what it says of a person, does not count."""

    title = "The log-in does not count"


class Issuer:
    """One provider, as the settings name it. `clock` gives Unix seconds."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._metadata: Mapping[str, Any] | None = None
        self._keys: Any = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def authorization_url(self, state: str, nonce: str, verifier: str, redirect: str) -> str:
        """Where the person's browser is sent. Raises Unavailable when the provider does not answer."""
        metadata = await self._known()
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
        metadata = await self._known()
        demanded = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and demanded) or (issuer is not None and issuer != metadata["issuer"]):
            raise LoginRefused("the answer is not of the provider that was asked")

    async def claims(self, code: str, verifier: str, nonce: str, redirect: str) -> Mapping[str, Any]:
        """What the provider says of the person. Raises LoginRefused, Unavailable."""
        metadata = await self._known()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
        given = await self._exchange(metadata, form)
        token = given.get("id_token")
        if not isinstance(token, str) or len(token) > 64_000:
            raise LoginRefused("the provider gave no ID token")
        claims = dict(await self._verified(token, nonce))
        wanted = {self._settings.name_claim, self._settings.groups_claim}
        if not wanted <= claims.keys() and "userinfo_endpoint" in metadata and "access_token" in given:
            headers = {"Authorization": f"Bearer {given['access_token']}"}
            more = await self._fetch("GET", str(metadata["userinfo_endpoint"]), headers=headers)
            if more.get("sub") != claims["sub"]:
                raise LoginRefused("the provider's userinfo is of somebody else")
            claims = {**more, **claims}
        return claims

    async def _verified(self, token: str, nonce: str) -> Mapping[str, Any]:
        with needs("people by OpenID Connect", "oidc"):
            from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError, UnsupportedAlgorithmError

        for last in (False, True):
            try:
                return self._decoded(token, nonce)
            except (InvalidKeyIdError, BadSignatureError, UnsupportedAlgorithmError) as error:
                if last or not await self._read_again():
                    raise LoginRefused(f"the ID token is not signed by a key of the provider: {error}") from error
            except (JoseError, ValueError, TypeError) as error:
                raise LoginRefused(f"the ID token does not count: {error}") from error
        raise AssertionError("the second try returns or raises")

    def _decoded(self, token: str, nonce: str) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.jwt import JWTClaimsRegistry

        assert self._metadata is not None, "the metadata comes first"
        offered = self._metadata.get("id_token_signing_alg_values_supported", ["RS256"])
        allowed = [name for name in ALGORITHMS if name in offered]
        claims: dict[str, Any] = jwt.decode(token, self._keys, algorithms=allowed).claims
        JWTClaimsRegistry(
            now=lambda: int(self._clock()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self._metadata["issuer"]},
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
        return await self._fetch("POST", str(metadata["token_endpoint"]), data=form, **more)

    async def _known(self) -> Mapping[str, Any]:
        if self._metadata is None and not await self._read_again() and self._metadata is None:
            raise Unavailable(f"the provider {self._settings.issuer} does not answer; see the log")
        assert self._metadata is not None
        return self._metadata

    async def _read_again(self) -> bool:
        """Whether metadata and keys were read just now; those that wait meanwhile share it."""
        asked = self._read_at
        async with self._reading:
            if self._read_at > asked:
                return True
            if self._metadata is not None and self._clock() - self._read_at < AGAIN_SECONDS:
                return False
            try:
                await self._read()
            except (LoginRefused, Unavailable) as error:
                log.warning("the provider's keys cannot be read; those known go on", error=str(error))
                return False
            finally:
                self._read_at = self._clock()
            return True

    async def _read(self) -> None:
        with needs("people by OpenID Connect", "oidc"):
            from joserfc.errors import JoseError
            from joserfc.jwk import KeySet

        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = await self._fetch("GET", url)
        needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
        if any(not isinstance(metadata.get(name), str) for name in needed):
            raise LoginRefused(f"{url} lacks one of {', '.join(needed)}")
        if metadata["issuer"].rstrip("/") != self._settings.issuer.rstrip("/"):
            raise LoginRefused(f"{url} is of the issuer {metadata['issuer'][:200]}, and not of the one in the settings")
        keys = await self._fetch("GET", metadata["jwks_uri"])
        try:
            known = [key for key in keys["keys"] if key["kty"] in ("RSA", "EC", "OKP")]
            self._keys = KeySet.import_key_set({"keys": known})
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise LoginRefused(f"{metadata['jwks_uri']} is no set of keys: {error}") from error
        self._metadata = metadata

    async def _fetch(self, method: str, url: str, **more: Any) -> Mapping[str, Any]:
        """The JSON object at the URL. Raises Unavailable, and LoginRefused for another answer."""
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
            raise LoginRefused(f"{url} answered {answer.status_code}, and no JSON object")
        return found


def new_secret() -> str:
    """A random text of 256 bits, for a state, a nonce, a verifier or a session."""
    return secrets.token_urlsafe(32)
