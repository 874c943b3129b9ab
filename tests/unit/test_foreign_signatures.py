"""Requests that two libraries of another language signed, kept as they made them: each verifies, and no change of one.

Made with Node 20 by npm's http-message-sig 0.3.0 and http-message-signatures 1.0.6, under a key of the test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from brain.access.http_signatures import (
    Asked,
    SignatureFault,
    check_body,
    check_signature,
    check_time,
    read_signature,
)

KEPT = json.loads((Path(__file__).parents[1] / "data" / "foreign_signatures.json").read_text())
REQUESTS = KEPT["requests"]


def verify(request: dict[str, Any]) -> None:
    key = load_pem_public_key(KEPT["public_key"].encode())
    assert isinstance(key, Ed25519PublicKey)
    headers = request["headers"]
    signature = read_signature(headers)
    check_time(signature, request["created"] + 5)
    asked = Asked(request["method"], request["base"], request["path"], request["query"], headers)
    check_signature(signature, asked, key)
    check_body(signature, headers.get("content-digest"), request["body"].encode())


def with_header(request: dict[str, Any], name: str, old: str, new: str) -> dict[str, Any]:
    return request | {"headers": request["headers"] | {name: request["headers"][name].replace(old, new)}}


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one["by"])
def test_each_verifies(request_: dict[str, Any]) -> None:
    verify(request_)


@pytest.mark.parametrize("signed", [one for one in REQUESTS if one["body"]], ids=lambda one: one["by"])
def test_each_change_is_refused(signed: dict[str, Any]) -> None:
    given = "signature-input"
    changes = {
        "method": signed | {"method": "PUT"},
        "path": signed | {"path": signed["path"] + "x"},
        "query": signed | {"query": "z=1"},
        "port": signed | {"base": signed["base"].removesuffix(":8765") + ":8766"},
        "body": signed | {"body": signed["body"] + " "},
        "digest": with_header(signed, "content-digest", "=:", "=:A"),
        "nonce": with_header(signed, given, 'nonce="nonce-', 'nonce="other-'),
        "created": with_header(signed, given, str(signed["created"]), str(signed["created"] + 1)),
        "keyid": with_header(signed, given, 'keyid="', 'keyid="x'),
        "tag": with_header(signed, given, 'tag="agent"', 'tag="other"'),
        "label twice": with_header(signed, given, "sig", "sig=(),sig"),
        "component left out": with_header(signed, given, ' "@authority"', ""),
    }
    for name, changed in changes.items():
        assert changed != signed, name
        with pytest.raises(SignatureFault):
            verify(changed)
