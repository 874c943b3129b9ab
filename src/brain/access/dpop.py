"""Proofs that the sender of a token has the key that the token is bound to (DPoP, RFC 9449).

A proof is a JWT of its own in the header `DPoP`, signed by that key, for one request: its method and URL, its time, an
id that counts once, and the hash of the token. It does not cover the body. Sections 4.3 (checks) and 7 (tokens).
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from brain.access.http_signatures import SECONDS
from brain.access.published_keys import IssuerFault
from brain.access.settings import ALGORITHMS
from brain.access.token_issuers import LONGEST, read_token
from brain.extras import needs

HEADER = "dpop"
SCHEME = "dpop"
"""Also the scheme of `Authorization`, in lower case."""
WHAT = "the DPoP proof"
"""What every fault of a proof begins with."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PORTS = {"http": 80, "https": 443}


class ProofFault(IssuerFault):
    """A DPoP proof proves nothing."""

    title = "The DPoP proof does not count"


class Proof(NamedTuple):
    """What a proof says once it is verified; whether it was seen before is not checked yet."""

    key: str
    """The JWK thumbprint of the key."""
    id: str
    made_at: int


class Request(NamedTuple):
    """The request that a proof is for: its method, its headers `DPoP`, and the URLs that it may have been sent to."""

    method: str
    proofs: Sequence[str]
    urls: Sequence[str]


def bound_to(claims: Mapping[str, Any]) -> str | None:
    """The thumbprint of the key that a token is bound to; None for one that is not. Raises ProofFault."""
    confirmation = claims.get("cnf")
    if confirmation is None:
        return None
    key = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not isinstance(key, str) or not key:
        raise ProofFault("the token is bound by a cnf without jkt, which this server cannot check")
    return key


def check_proof(request: Request, token: str, key: str, now: float) -> Proof:
    """The one proof of the request, for this token, by the key with this thumbprint. Raises ProofFault."""
    if len(request.proofs) != 1:
        raise ProofFault(f"{WHAT} is missing, or there are several; send one header DPoP with the token")
    text = request.proofs[0].strip()
    if len(text) > LONGEST:
        raise ProofFault(f"{WHAT} has {len(text)} letters, {LONGEST} are allowed")
    found, claims = _verified(text)
    if not hmac.compare_digest(found.encode(), key.encode(errors="replace")):
        raise ProofFault(f"{WHAT} is by another key than the one that the token is bound to")
    if claims.get("htm") != request.method:
        raise ProofFault(f"{WHAT} is for another method: htm is {str(claims.get('htm'))[:20]!r}")
    if _place(claims.get("htu")) not in [_place(url) for url in request.urls]:
        raise ProofFault(f"{WHAT} is for another URL: htu must be that of the request, such as {request.urls[0][:200]}")
    if not hmac.compare_digest(str(claims.get("ath")).encode(errors="replace"), _hash(token)):
        raise ProofFault(f"{WHAT} is for another token: ath is not the token's hash")
    made_at, id = claims.get("iat"), claims.get("jti")
    if isinstance(made_at, bool) or not isinstance(made_at, (int, float)) or not abs(now - made_at) <= SECONDS:
        raise ProofFault(f"{WHAT} was not made within {SECONDS} s of our time: see iat, and both clocks")
    if not isinstance(id, str) or not 8 <= len(id) <= 200:
        raise ProofFault(f"{WHAT} has no jti of 8 to 200 letters")
    return Proof(found, id, int(made_at))


def _verified(text: str) -> tuple[str, Mapping[str, Any]]:
    """The thumbprint of the key that signed the proof, and its claims."""
    with needs("tokens of other issuers", "oidc"):
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import import_key
        from joserfc.jws import JWSRegistry

    try:
        header, _ = read_token(text)
    except IssuerFault as error:
        raise ProofFault(f"{WHAT} is no JWT") from error
    kind, algorithm, public = header.get("typ"), header.get("alg"), header.get("jwk")
    if kind != "dpop+jwt":
        raise ProofFault(f"{WHAT} is of the type {str(kind)[:40]!r}; it must be dpop+jwt")
    if algorithm not in ALGORITHMS:
        raise ProofFault(f"{WHAT} is signed by {str(algorithm)[:20]!r}; use one of {', '.join(ALGORITHMS)}")
    if not isinstance(public, dict) or public.get("kty") not in ("EC", "RSA", "OKP") or _PRIVATE & public.keys():
        raise ProofFault(f"{WHAT} has no public key in jwk, or has a private one")
    registry = JWSRegistry(algorithms=[algorithm])
    registry.max_header_length = LONGEST  # an RSA key is longer than the 512 bytes that joserfc takes
    try:
        key = import_key(public)
        return key.thumbprint(), dict(jwt.decode(text, key, registry=registry).claims)
    except (JoseError, ValueError, TypeError) as error:
        raise ProofFault(f"{WHAT} is not signed by its key: {error}") from error


def _hash(token: str) -> bytes:
    return urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=")


def _place(url: object) -> tuple[str, str, int | None, str] | None:
    """What is compared of a URL: all but query and fragment, in the form that RFC 3986 calls normal."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or not parts.hostname or parts.username is not None:
            return None
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path or "/"
    except ValueError:
        return None
