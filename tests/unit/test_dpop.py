"""Proofs of DPoP: those of a foreign signer, and every change that makes one count for nothing."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from brain.access.dpop import ProofFault, Request, bound_to, check_proof
from brain.access.http_signatures import SECONDS
from brain.access.settings import ALGORITHMS

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "dpop" / "npm-dpop-2.1.2.json").read_text())
"""Proofs as the package `dpop` of npm made them (generateProof, one for each algorithm that it has)."""
NOW = 1_703_000_000.0
TOKEN = "a-token-of-this-test"
URL = "https://brain.example.org/api/policy/evaluate"
KEY = ECKey.generate_key("P-256")


def proof(*, key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False), **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    ath = urlsafe_b64encode(sha256(TOKEN.encode()).digest()).rstrip(b"=").decode()
    claims = {"jti": "0123456789", "htm": "POST", "htu": URL, "iat": int(NOW), "ath": ath, **changes}
    claims = {name: value for name, value in claims.items() if value is not None}
    registry = JWSRegistry(algorithms=[*ALGORITHMS, "HS256"])
    registry.max_header_length = 8000
    return jwt.encode(head, claims, key, registry=registry)


def check(*proofs: str, url: str = URL, method: str = "POST", key: str = KEY.thumbprint(), now: float = NOW) -> None:
    check_proof(Request(method, proofs, ["https://other.example.org/x", url]), TOKEN, key, now)


@pytest.mark.parametrize("recorded", RECORDED["proofs"], ids=lambda one: str(one["alg"]))
def test_a_foreign_signers_proof_counts(recorded: dict[str, str]) -> None:
    claims = json.loads(urlsafe_b64decode(recorded["proof"].split(".")[1] + "=="))
    asked = Request(RECORDED["method"], [recorded["proof"]], [RECORDED["url"]])
    found = check_proof(asked, RECORDED["token"], recorded["thumbprint"], claims["iat"] + 10.0)
    assert (found.key, found.id, found.made_at) == (recorded["thumbprint"], claims["jti"], claims["iat"])
    with pytest.raises(ProofFault, match="within 60 s"):
        check_proof(asked, RECORDED["token"], recorded["thumbprint"], claims["iat"] + 61.0)
    with pytest.raises(ProofFault, match="another token"):
        check_proof(asked, "another", recorded["thumbprint"], claims["iat"])


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (OKPKey.generate_key("Ed25519"), "Ed25519"),
        (ECKey.generate_key("P-384"), "ES384"),
        (RSAKey.generate_key(2048), "PS256"),
    ],
)
def test_keys_of_all_kinds(key: Any, algorithm: str) -> None:
    check(proof(key=key, header={"alg": algorithm}), key=key.thumbprint())


@pytest.mark.parametrize(
    "url",
    [
        f"{URL}?a=b",
        f"{URL}#x",
        "https://brain.example.org:443/api/policy/evaluate",
        "HTTPS://BRAIN.example.org/api/policy/evaluate",
    ],
)
def test_urls_that_are_the_same(url: str) -> None:
    check(proof(htu=url))
    check(proof(), url=url)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ({"htm": "GET"}, "another method"),
        ({"htm": None}, "another method"),
        ({"htu": "https://brain.example.org/api/policy/explain"}, "another URL"),
        ({"htu": "http://brain.example.org/api/policy/evaluate"}, "another URL"),
        ({"htu": "https://brain.example.org:8443/api/policy/evaluate"}, "another URL"),
        ({"htu": "https://u@brain.example.org/api/policy/evaluate"}, "another URL"),
        ({"htu": "https://["}, "another URL"),
        ({"htu": None}, "another URL"),
        ({"htu": 7}, "another URL"),
        ({"ath": None}, "another token"),
        ({"ath": "x"}, "another token"),
        ({"ath": "ü"}, "another token"),
        ({"iat": NOW - SECONDS - 1}, "within 60 s"),
        ({"iat": NOW + SECONDS + 1}, "within 60 s"),
        ({"iat": None}, "within 60 s"),
        ({"iat": "now"}, "within 60 s"),
        ({"iat": True}, "within 60 s"),
        ({"jti": None}, "no jti"),
        ({"jti": "short"}, "no jti"),
        ({"jti": "x" * 201}, "no jti"),
        ({"jti": 12345678}, "no jti"),
        ({"header": {"typ": "JWT"}}, "must be dpop"),
        ({"header": {"typ": None}}, "must be dpop"),
        ({"header": {"jwk": None}}, "no public key"),
        ({"header": {"jwk": KEY.as_dict(private=True)}}, "a private one"),
        ({"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=False)}}, "not signed by its key"),
        ({"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}}, "not signed by its key"),
        ({"key": ECKey.generate_key("P-256")}, "another key"),
    ],
)
def test_each_change_is_refused(made: dict[str, Any], why: str) -> None:
    with pytest.raises(ProofFault, match=why):
        check(proof(**made))


def test_a_shared_key_signs_no_proof() -> None:
    shared = OctKey.import_key("a-key-that-both-know-of-thirty-two-letters")
    for header in ({"alg": "HS256", "jwk": shared.as_dict()}, {"alg": "HS256", "jwk": KEY.as_dict(private=False)}):
        with pytest.raises(ProofFault, match="is signed by 'HS256'"):
            check(proof(key=shared, header=header))
    none = proof().split(".")
    head = urlsafe_b64encode(b'{"alg":"none","typ":"dpop+jwt"}').rstrip(b"=").decode()
    for text in (f"{head}.{none[1]}.", "x", "", "a.b.c", f"{none[0]}.{none[1]}", "eyJ" * 5000):
        with pytest.raises(ProofFault):
            check(text)


def test_one_proof_and_no_more() -> None:
    for proofs in ((), (proof(), proof())):
        with pytest.raises(ProofFault, match="one header DPoP"):
            check(*proofs)


def test_what_a_token_is_bound_to() -> None:
    assert bound_to({}) is None
    assert bound_to({"cnf": {"jkt": "abc", "x": 1}}) == "abc"
    found: list[Any] = [{"x5t#S256": "abc"}, {"jkt": 7}, {"jkt": ""}, "abc", []]
    for odd in found:
        with pytest.raises(ProofFault, match="bound by a cnf without jkt"):
            bound_to({"cnf": odd})
