"""The signatures of deliveries, over the bytes as they came, compared in constant time.

Sources: docs.github.com "Validating webhook deliveries"; standardwebhooks.com; docs.gitlab.com "Webhooks";
docs.stripe.com "Resolve webhook signature verification errors"; docs.sentry.io "Webhooks"; developer.pagerduty.com
"Verifying webhook signatures"; prometheus.io "Configuration", http_config.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from brain.connectors.webhook import BadSignature, verify
from brain.errors import InvalidInput
from brain.secret import Secret

LEAST_SECRET_BYTES = 16
STANDARD_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Signed:
    """A delivery whose signature is to be checked. Headers by lower-case name, times in Unix seconds."""

    secrets: Sequence[Secret]
    """Several while one is changed: one of them must fit."""
    headers: Mapping[str, str]
    body: bytes
    now: float
    tolerance: float

    def header(self, name: str) -> str:
        """A header that must be there. Raises BadSignature."""
        value = self.headers.get(name, "")
        if not value:
            raise BadSignature(f"{name}: is missing")
        return value

    def keys(self) -> list[bytes]:
        """The secrets as they are written."""
        return [secret.reveal().encode() for secret in self.secrets]


def check_secret(secret: Secret) -> None:
    """Raise InvalidInput for a secret that is missing or too short to sign with."""
    if len(secret.reveal().encode()) < LEAST_SECRET_BYTES:
        raise InvalidInput(
            f"secret: is shorter than {LEAST_SECRET_BYTES} bytes; make one with: openssl rand -base64 32"
        )


def github(signed: Signed) -> None:
    """`X-Hub-Signature-256: sha256=<hex>` over the body."""
    given = signed.header("x-hub-signature-256")
    _match("x-hub-signature-256", [given.removeprefix("sha256=")], _hex(signed.keys(), signed.body))


def sentry(signed: Signed) -> None:
    """`Sentry-Hook-Signature: <hex>` over the body; its timestamp is not signed."""
    _match("sentry-hook-signature", [signed.header("sentry-hook-signature")], _hex(signed.keys(), signed.body))


def pagerduty(signed: Signed) -> None:
    """`X-PagerDuty-Signature: v1=<hex>,v1=<hex>` over the body."""
    given = [part.strip() for part in signed.header("x-pagerduty-signature").split(",")]
    found = [part.removeprefix("v1=") for part in given if part.startswith("v1=")]
    _match("x-pagerduty-signature", found, _hex(signed.keys(), signed.body))


def stripe(signed: Signed) -> None:
    """`Stripe-Signature: t=<seconds>,v1=<hex>` over `<t>.<body>`; the secret is used with its whsec_."""
    parts = [part.strip().partition("=")[::2] for part in signed.header("stripe-signature").split(",")]
    at = next((value for name, value in parts if name == "t"), "")
    if not (at.isascii() and at.isdigit() and len(at) <= 12):
        raise BadSignature("stripe-signature: has no time t=<Unix seconds>")
    if abs(signed.now - int(at)) > signed.tolerance:
        raise BadSignature(
            f"stripe-signature: its time differs by more than {signed.tolerance:g} s from ours; check both clocks"
        )
    given = [value for name, value in parts if name == "v1"]
    _match("stripe-signature", given, _hex(signed.keys(), f"{at}.".encode() + signed.body))


def standard(signed: Signed) -> None:
    """The three headers of Standard Webhooks."""
    verify(signed.secrets, signed.headers, signed.body, signed.now, signed.tolerance)


def gitlab(signed: Signed) -> None:
    """Standard Webhooks where the secret begins with whsec_, as GitLab makes them now; else `X-Gitlab-Token`."""
    former = [secret for secret in signed.secrets if not secret.reveal().startswith(STANDARD_PREFIX)]
    newer = [secret for secret in signed.secrets if secret.reveal().startswith(STANDARD_PREFIX)]
    if newer and (not former or "webhook-signature" in signed.headers):
        verify(newer, signed.headers, signed.body, signed.now, signed.tolerance)
    else:
        _match("x-gitlab-token", [signed.header("x-gitlab-token")], [secret.reveal() for secret in former])


def token(signed: Signed) -> None:
    """`Authorization: Bearer <secret>`: for senders that cannot sign. It says who sends, and nothing of the body."""
    scheme, _, given = signed.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise BadSignature("authorization: must be Bearer and the secret")
    _match("authorization", [given.strip()], [secret.reveal() for secret in signed.secrets])


SCHEMES: Mapping[str, Callable[[Signed], None]] = {
    "github": github,
    "gitlab": gitlab,
    "pagerduty": pagerduty,
    "sentry": sentry,
    "standard": standard,
    "stripe": stripe,
    "token": token,
}
"""How a signature is checked, by the name of the scheme. Each raises BadSignature."""


def _hex(keys: Sequence[bytes], content: bytes) -> list[str]:
    return [hmac.new(key, content, hashlib.sha256).hexdigest() for key in keys]


def _match(header: str, given: Sequence[str], wanted: Sequence[str]) -> None:
    digests = [hashlib.sha256(one.encode(errors="replace")).digest() for one in wanted]  # of one length, whatever came
    fits = [
        hmac.compare_digest(digest, hashlib.sha256(other.encode(errors="replace")).digest())
        for digest in digests
        for other in given
    ]
    if not any(fits):
        raise BadSignature(f"{header}: does not match; check the secret")
