"""Webhooks that are signed, both ways: JSON messages to any receiver, and messages from others that are checked.

The scheme is that of Standard Webhooks (standardwebhooks.com), for which every language has a library: the headers

    webhook-id          names the message; the same at every retry, for the receiver to know it again
    webhook-timestamp   when it was sent, in whole Unix seconds
    webhook-signature   v1,<base64 of HMAC-SHA256 over "<id>.<timestamp>.<body>">, several separated by spaces

Libraries read a secret as base64, with or without `whsec_` before it. A bare text that is base64 is thus two keys, what
it decodes to and its own bytes: a message is signed by both, one after the other, and either is accepted.

Some services that cannot do it sign the body alone: Jira's webhooks and others send `X-Hub-Signature: sha256=<hex>`
(developer.atlassian.com, "Webhooks", on secrets); `verify_hub` checks that.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

import msgspec
from pydantic import Field

from brain.connectors.notifiers import Notifier, NotifierSettings
from brain.connectors.pages import Page
from brain.connectors.sender import Request, read_words
from brain.errors import BrainError, InvalidInput
from brain.neutral import json_bytes
from brain.secret import Secret
from brain.text import plain_key

SERVICE = "the webhook"
TOLERANCE = 300.0
"""Seconds that a message's time may be away from ours, either way: what was recorded cannot be sent again later."""
LEAST_KEY_BYTES = 24
_PREFIX = "whsec_"


class WebhookSettings(NotifierSettings):
    """Any HTTP service: the whole page as signed JSON."""

    url: Secret = Field(description="Where messages are sent; a secret, since many receivers' URLs hold a token")
    key: Secret = Field(description="Signing key: base64, bare or after whsec_; or any text of at least 24 bytes")


class BadSignature(BrainError):
    """A message's signature is missing, does not fit, or is too old; who sent it is not known."""

    status = 401
    title = "Bad signature"


class WebhookAnswer(TypedDict):
    """The receiver's answer."""

    status: int
    said: str


class Webhook(Notifier[WebhookSettings]):
    """Sends messages to one receiver."""

    settings_model: ClassVar[type[WebhookSettings]] = WebhookSettings

    async def send(self, page: Page) -> Mapping[str, Any]:
        """Post the whole page as JSON. `webhook-id` is the same whenever the page is sent again."""
        return {**await self.post(page.id, page.document())}

    @classmethod
    def check(cls, settings: WebhookSettings) -> None:
        """Raise InvalidInput for a signing key of the wrong form."""
        sign(settings.key, "brain", b"", 0.0)

    async def post(self, dedup: str, message: Mapping[str, Any]) -> WebhookAnswer:
        """Post the message; `dedup` names it, the same at every retry. Raises Refused and TryLater."""
        request = signed_request(self._settings, message_id(dedup), message, self._clock())
        answer = await self._sender.send(SERVICE, request)
        return WebhookAnswer(status=answer.status, said=read_words(answer.body))


def signed_request(settings: WebhookSettings, id: str, message: Mapping[str, Any], now: float) -> Request:
    """The request for a message, signed at the Unix time `now`."""
    body = json_bytes(msgspec.json.encode(message))
    headers = {"Content-Type": "application/json", **sign(settings.key, id, body, now)}
    return Request("POST", settings.url.reveal(), headers, body)


def message_id(dedup: str) -> str:
    """The webhook-id for a dedup of any form: itself where that can be one."""
    plain = plain_key(dedup, 100)
    return plain.replace(".", "-") + f"-{hashlib.sha256(dedup.encode()).hexdigest()[:16]}" if "." in plain else plain


def sign(key: Secret, id: str, body: bytes, now: float) -> dict[str, str]:
    """The three headers for a body. Raises InvalidInput for an empty id or one with a full stop, and for a bad key."""
    if not id or "." in id or not id.isascii() or not id.isprintable():
        raise InvalidInput("webhook id: must be printable ASCII without a full stop, and not empty")
    at = str(int(now))
    return {
        "webhook-id": id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(_signatures(key, id, at, body)),
    }


def verify(
    keys: Sequence[Secret], headers: Mapping[str, str], body: bytes, now: float, tolerance: float = TOLERANCE
) -> str:
    """The id of a message that one of the keys signed (several while a key is changed), to know a repeated one by.

    `headers` by lower-case name; `body` exactly as it came. Compares in constant time. Raises BadSignature.
    """
    id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split()
    if not id or not at or not given:
        raise BadSignature("the headers webhook-id, webhook-timestamp and webhook-signature are needed")
    if not (at.isascii() and at.isdigit() and len(at) <= 12):
        raise BadSignature("webhook-timestamp: must be whole Unix seconds")
    if abs(now - int(at)) > tolerance:
        raise BadSignature(
            f"webhook-timestamp: differs by more than {tolerance:g} s from the time here; check both clocks"
        )
    wanted = [one.encode() for key in keys for one in _signatures(key, id, at, body)]
    fits = [hmac.compare_digest(one, other.encode()) for one in wanted for other in given]  # all of them, always
    if not any(fits):
        raise BadSignature("webhook-signature: does not match the message; check the key")
    return id


def verify_hub(key: Secret, headers: Mapping[str, str], body: bytes) -> None:
    """Check `X-Hub-Signature` (or `-256`), which holds no time and no id. Raises BadSignature."""
    given = headers.get("x-hub-signature-256") or headers.get("x-hub-signature", "")
    wanted = ["sha256=" + hmac.new(one, body, hashlib.sha256).hexdigest() for one in _keys(key)]
    fits = [hmac.compare_digest(one.encode(), given.encode()) for one in wanted]
    if not any(fits):
        raise BadSignature("x-hub-signature: is missing or does not match the message; check the key")


def _signatures(secret: Secret, id: str, at: str, body: bytes) -> list[str]:
    content = f"{id}.{at}.".encode() + body
    digests = (hmac.new(key, content, hashlib.sha256).digest() for key in _keys(secret))
    return [f"v1,{base64.b64encode(digest).decode()}" for digest in digests]


def _keys(secret: Secret) -> list[bytes]:
    """The keys that a secret stands for, that of the libraries first. Raises InvalidInput for one that is no key."""
    text = secret.reveal()
    decoded = _from_base64(text.removeprefix(_PREFIX))
    if text.startswith(_PREFIX):
        if decoded is None:
            raise InvalidInput(f"webhook key: what follows {_PREFIX} must be base64")
        return [_long_enough(decoded)]
    return [*([decoded] if decoded else []), _long_enough(text.encode())]


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # also for what is not ASCII
        return None


def _long_enough(key: bytes) -> bytes:
    if len(key) < LEAST_KEY_BYTES:
        raise InvalidInput(
            f"webhook key: is shorter than {LEAST_KEY_BYTES} bytes; make one with: openssl rand -base64 32"
        )
    return key
