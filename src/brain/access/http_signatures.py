"""Signed requests: one profile of RFC 9421, with Ed25519 and the digest of the body (RFC 9530).

A request has one signature. It covers at least `@method` and `@target-uri`, and with a body `content-digest`; further
fields may be covered. Its parameters are `created` and `keyid` and `nonce`; `alg`, `expires` and `tag` may be there. It
is verified over the parameters as they were received, never over a form of our own.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256, sha512
from typing import TYPE_CHECKING, NamedTuple

from brain.errors import InvalidInput

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SECONDS = 60
"""How far the time of a signature may be from ours, either way."""
MOST = 4096
"""Longest `Signature-Input`, in letters."""

_KEY = r"[a-z*][a-z0-9_.*-]*"
_NAME = r'"[a-z0-9@_.-]+"'
_GIVEN = rf';{_KEY}=(?:\d{{1,15}}|"[ !#-\[\]-~]*")'
_MEMBER = re.compile(rf"({_KEY})=(\(({_NAME}(?: {_NAME})*)\)((?:{_GIVEN})*))")
_PARAMETER = re.compile(rf';({_KEY})=(\d+|"[^"]*")')
_SIGNATURE = re.compile(rf"({_KEY})=:([A-Za-z0-9+/]{{86}}==):")
_DIGEST = re.compile(r"(sha-256|sha-512)=:([A-Za-z0-9+/]+=*):")
_HASHES = {"sha-256": sha256, "sha-512": sha512}


class SignatureFault(InvalidInput):
    """Why a signature does not count."""

    title = "The signature does not count"


class Signature(NamedTuple):
    """What a request says of its signature; nothing of it is proven yet."""

    covered: Sequence[str]
    text: str
    """The covered names with the parameters, as received."""
    keyid: str
    nonce: str
    created: int
    expires: int | None
    value: bytes


class Asked(NamedTuple):
    """The request that is signed: `base` is the public URL that it was sent to, without a path."""

    method: str
    base: str
    path: str
    query: str
    headers: Mapping[str, str]
    """By lower-case name; values of a name that is there more than once are joined by `, `."""


def read_signature(headers: Mapping[str, str]) -> Signature:
    """The signature of a request with these headers. Raises SignatureFault for one of another form."""
    given, value = headers.get("signature-input", ""), headers.get("signature", "")
    named = _MEMBER.fullmatch(given) if len(given) <= MOST else None
    signed = _SIGNATURE.fullmatch(value)
    if named is None or signed is None or named[1] != signed[1]:
        raise SignatureFault("the signature is not one of the profile: a single one, of Ed25519, with plain components")
    found = _PARAMETER.findall(named[4])
    parameters = {name: text.strip('"') for name, text in found}
    covered = named[3].replace('"', "").split(" ")
    if len(parameters) != len(found) or len(set(covered)) != len(covered):
        raise SignatureFault("the signature names a parameter or component twice")
    if parameters.get("alg", "ed25519") != "ed25519":
        raise SignatureFault("the signature's alg is not ed25519")
    keyid, nonce, created = (parameters.get(name, "") for name in ("keyid", "nonce", "created"))
    if not keyid or not 8 <= len(nonce) <= 128 or not created.isdecimal():
        raise SignatureFault("the signature lacks keyid, created, or a nonce of 8 to 128 letters")
    needed = {"@method", "@target-uri"}
    if not needed <= set(covered):
        raise SignatureFault("the signature does not cover @method and @target-uri")
    expires = parameters.get("expires")
    if expires is not None and not expires.isdecimal():
        raise SignatureFault("the signature's expires is not a time")
    until = None if expires is None else int(expires)
    return Signature(covered, named[2], keyid, nonce, int(created), until, b64decode(signed[2]))


def check_time(signature: Signature, now: float) -> None:
    """Raises SignatureFault when it was made too long ago, or ahead of our time, or has expired."""
    if abs(now - signature.created) > SECONDS or (signature.expires is not None and now >= signature.expires):
        raise SignatureFault(f"the signature's time is not within {SECONDS} s of ours")


def check_signature(signature: Signature, asked: Asked, key: Ed25519PublicKey) -> None:
    """Raises SignatureFault unless the key made the signature for this request; the body is not looked at."""
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature.value, _base(signature.covered, signature.text, asked))
    except InvalidSignature:
        raise SignatureFault("the signature does not fit the request and the key") from None


def check_body(signature: Signature, digest: str | None, body: bytes) -> None:
    """Raises SignatureFault unless the covered `Content-Digest` is that of the body. Without a body none is needed."""
    if "content-digest" not in signature.covered:
        if body:
            raise SignatureFault("the signature does not cover the content-digest of the body")
        return
    members = [_DIGEST.fullmatch(part.strip()) for part in (digest or "").split(",")]
    known = [found for found in members if found is not None]
    if not known or any(b64encode(_HASHES[one[1]](body).digest()).decode() != one[2] for one in known):
        raise SignatureFault("the content-digest is not that of the body")


def key_id(public_key: bytes) -> str:
    """The id of a key: its JWK thumbprint (RFC 7638), of the key's 32 bytes."""
    x = urlsafe_b64encode(public_key).rstrip(b"=").decode()
    digest = sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def signed_headers(asked: Asked, body: bytes, key: Ed25519PrivateKey, nonce: str, created: int) -> dict[str, str]:
    """The headers that sign a request: `Signature-Input`, `Signature`, and with a body `Content-Digest`."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    headers = {"content-digest": f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"} if body else {}
    covered = ["@method", "@target-uri", *headers]
    names = " ".join(f'"{name}"' for name in covered)
    text = f'({names});created={created};keyid="{key_id(raw)}";nonce="{nonce}";alg="ed25519"'
    value = key.sign(_base(covered, text, asked._replace(headers={**asked.headers, **headers})))
    return {**headers, "signature-input": f"sig={text}", "signature": f"sig=:{b64encode(value).decode()}:"}


def _base(covered: Sequence[str], text: str, asked: Asked) -> bytes:
    """The text that is signed (RFC 9421, section 2.5)."""
    lines = [f'"{name}": {_component(name, asked)}' for name in covered]
    return "\n".join([*lines, f'"@signature-params": {text}']).encode()


def _component(name: str, asked: Asked) -> str:
    if not name.startswith("@"):
        value = asked.headers.get(name)
        if value is None:
            raise SignatureFault(f"the signature covers the header {name[:50]}, which is not there")
        return value
    query = f"?{asked.query}"
    scheme, _, authority = asked.base.partition("://")
    derived = {
        "@method": asked.method,
        "@target-uri": f"{asked.base}{asked.path}{query if asked.query else ''}",
        "@authority": authority,
        "@scheme": scheme,
        "@path": asked.path,
        "@query": query,
    }
    if name not in derived:
        raise SignatureFault(f"the signature covers {name[:50]}, which is not of the profile")
    return derived[name]
