"""Signed webhooks: the specification's own example, and every way to be wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.connectors.webhook import BadSignature, message_id, sign, verify, verify_hub
from brain.errors import InvalidInput
from brain.secret import Secret

KEY = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
OTHER = Secret("another key of enough bytes")
NOW = 1_614_265_330.0
BODY = b'{"test": 2432232314}'
# The example that the Standard Webhooks libraries test themselves with.
EXAMPLE = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_the_known_example() -> None:
    assert sign(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, NOW) == EXAMPLE
    assert verify([KEY], EXAMPLE, BODY, NOW) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@given(body=st.binary(max_size=500), id=st.text("abcdef_-0123", min_size=1), at=st.integers(0, 10**11))
def test_what_is_signed_is_verified_and_nothing_else(body: bytes, id: str, at: int) -> None:
    headers = sign(OTHER, id, body, at)
    assert verify([OTHER], headers, body, at) == id
    for wrong in (
        lambda: verify([KEY], headers, body, at),
        lambda: verify([OTHER], headers, body + b"x", at),
        lambda: verify([OTHER], {**headers, "webhook-id": id + "x"}, body, at),
        lambda: verify([OTHER], {**headers, "webhook-timestamp": str(at + 1)}, body, at),
        lambda: verify([], headers, body, at),
    ):
        with pytest.raises(BadSignature):
            wrong()


def test_a_key_is_changed_without_losing_a_message() -> None:
    old, new = sign(KEY, "m", BODY, NOW), sign(OTHER, "m", BODY, NOW)
    assert verify([OTHER, KEY], old, BODY, NOW) == verify([OTHER, KEY], new, BODY, NOW) == "m"
    both = {**old, "webhook-signature": f"v2,abc {new['webhook-signature']} {old['webhook-signature']}"}
    assert verify([KEY], both, BODY, NOW) == "m"


@pytest.mark.parametrize("away", [-300, 300])
def test_a_message_within_the_tolerance(away: float) -> None:
    assert verify([KEY], EXAMPLE, BODY, NOW + away) == EXAMPLE["webhook-id"]


@pytest.mark.parametrize("away", [-301, 301, 1e9, -1e9])
def test_an_old_or_future_message_is_refused(away: float) -> None:
    with pytest.raises(BadSignature, match="clocks"):
        verify([KEY], EXAMPLE, BODY, NOW + away)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webhook-id", ""),
        ("webhook-timestamp", ""),
        ("webhook-timestamp", "soon"),
        ("webhook-timestamp", "1614265330.5"),
        ("webhook-timestamp", "１６１４２６５３３０"),
        ("webhook-timestamp", "9" * 5000),
        ("webhook-signature", ""),
        ("webhook-signature", "v1,"),
        ("webhook-signature", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ("webhook-signature", "v1,ünicode"),
    ],
)
def test_headers_that_are_wrong(name: str, value: str) -> None:
    with pytest.raises(BadSignature):
        verify([KEY], {**EXAMPLE, name: value}, BODY, NOW)


@pytest.mark.parametrize("id", ["", "a.b", "a\nb", "ü"])
def test_ids_that_would_be_ambiguous(id: str) -> None:
    with pytest.raises(InvalidInput, match="webhook id"):
        sign(KEY, id, BODY, NOW)


@given(one=st.text(min_size=1), other=st.text(min_size=1))
def test_any_dedup_gives_an_id_of_its_own(one: str, other: str) -> None:
    sign(KEY, message_id(one), BODY, NOW)
    assert (message_id(one) == message_id(other)) == (one == other)
    assert message_id("evt_1.page") != message_id("evt_1-page")


@pytest.mark.parametrize("key", ["tiny-key", "whsec_not base64!", "whsec_c2hvcnQ="])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(InvalidInput, match="webhook key") as caught:
        sign(Secret(key), "m", BODY, NOW)
    assert key not in str(caught.value)


def test_a_signature_over_the_body_alone() -> None:
    digest = hmac.new(b"another key of enough bytes", BODY, hashlib.sha256).hexdigest()
    verify_hub(OTHER, {"x-hub-signature": f"sha256={digest}"}, BODY)
    verify_hub(OTHER, {"x-hub-signature-256": f"sha256={digest}"}, BODY)
    for headers in ({}, {"x-hub-signature": digest}, {"x-hub-signature": f"sha1={digest}"}):
        with pytest.raises(BadSignature):
            verify_hub(OTHER, headers, BODY)
    with pytest.raises(BadSignature):
        verify_hub(OTHER, {"x-hub-signature": f"sha256={digest}"}, BODY + b" ")


def test_a_bare_base64_key_is_what_libraries_read_it_as_and_its_own_bytes() -> None:
    bare = KEY.reveal().removeprefix("whsec_")
    as_text = Secret(f"whsec_{base64.b64encode(bare.encode()).decode()}")
    headers = sign(Secret(bare), "m", BODY, NOW)
    signatures = headers["webhook-signature"].split()
    assert len(signatures) == 2
    for key, signature in zip((KEY, as_text), signatures, strict=True):  # KEY first: a reader of one takes the first
        alone = sign(key, "m", BODY, NOW)
        assert alone["webhook-signature"] == signature
        assert verify([key], headers, BODY, NOW) == verify([Secret(bare)], alone, BODY, NOW) == "m"
