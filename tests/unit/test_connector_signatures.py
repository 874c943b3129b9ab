"""The signatures of deliveries: what their senders sign is taken, and nothing that is otherwise by one byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from brain.connectors.webhook import BadSignature
from brain.errors import InvalidInput
from brain.links.signatures import SCHEMES, Signed, check_secret
from brain.secret import Secret
from support.webhook_senders import SECRET, STANDARD, bearer, github, hex_of, pagerduty, sentry, standard, stripe

NOW = 1_703_001_234.0
BODY = b'{"zen":"Non-blocking is better than blocking.","x":"\\u00e9"}'
SENDERS: dict[str, Callable[[bytes], dict[str, str]]] = {
    "github": lambda body: github(body, "d-1"),
    "gitlab": lambda body: standard(body, "msg_1", NOW),
    "pagerduty": pagerduty,
    "sentry": lambda body: sentry(body, "r-1"),
    "standard": lambda body: standard(body, "msg_1", NOW),
    "stripe": lambda body: stripe(body, NOW),
}


def check(scheme: str, headers: dict[str, str], body: bytes = BODY, now: float = NOW, *secrets: str) -> None:
    given = secrets or (STANDARD if scheme in ("standard", "gitlab") else SECRET,)
    SCHEMES[scheme](Signed([Secret(secret) for secret in given], headers, body, now, 300))


@pytest.mark.parametrize("scheme", SENDERS)
def test_what_the_sender_signed_is_taken_and_nothing_else(scheme: str) -> None:
    headers = SENDERS[scheme](BODY)
    check(scheme, headers)
    for place in range(len(BODY)):
        with pytest.raises(BadSignature, match="does not match"):
            check(scheme, headers, BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :])
    (signature,) = (name for name in headers if "signature" in name)
    for given in ("", "x", "v1,", "sha256=", "v1=", "t=1,v1=é", "é"):
        with pytest.raises(BadSignature):
            check(scheme, {**headers, signature: given})


@pytest.mark.parametrize("scheme", SENDERS)
def test_two_secrets_while_one_is_changed(scheme: str) -> None:
    mine = STANDARD if scheme in ("standard", "gitlab") else SECRET
    other = f"{mine[:-4]}AAA=" if mine == STANDARD else f"{mine}, no more"
    check(scheme, SENDERS[scheme](BODY), BODY, NOW, other, mine)
    with pytest.raises(BadSignature):
        check(scheme, SENDERS[scheme](BODY), BODY, NOW, other)


@pytest.mark.parametrize("scheme", ["standard", "stripe", "gitlab"])
@pytest.mark.parametrize("away", [301, -301])
def test_an_old_delivery_is_refused_where_the_time_is_signed(scheme: str, away: float) -> None:
    check(scheme, SENDERS[scheme](BODY), BODY, NOW + away * 299 / 301)
    with pytest.raises(BadSignature, match="300 s"):
        check(scheme, SENDERS[scheme](BODY), BODY, NOW + away)


def test_the_vendors_own_examples() -> None:
    """docs.github.com, "Validating webhook deliveries", gives secret, payload and signature."""
    signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert hex_of(SECRET, b"Hello, World!") == signature
    check("github", {"x-hub-signature-256": f"sha256={signature}"}, b"Hello, World!")


def test_a_token_of_gitlab_and_a_bearer_token() -> None:
    check("gitlab", {"x-gitlab-token": SECRET}, BODY, NOW, SECRET)
    check("token", bearer())
    for scheme, headers in (
        ("gitlab", {"x-gitlab-token": f"{SECRET}."}),
        ("gitlab", {}),
        ("token", bearer("other")),
        ("token", {"authorization": f"Basic {SECRET}"}),
        ("token", {}),
    ):
        with pytest.raises(BadSignature):
            check(scheme, headers, BODY, NOW, SECRET)


def test_a_new_secret_of_gitlab_is_no_token() -> None:
    """It signs; sent in clear it must not do instead, since everybody who saw one delivery would have it."""
    with pytest.raises(BadSignature, match="webhook-signature"):
        check("gitlab", {"x-gitlab-token": STANDARD})


def test_a_short_secret_is_refused() -> None:
    check_secret(Secret("1" * 16))
    with pytest.raises(InvalidInput, match="shorter than 16 bytes"):
        check_secret(Secret("1" * 15))
