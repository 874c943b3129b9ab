"""Agents that prove who they are, over a real socket: foreign signers, sessions, forgeries, replays."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms
from http_message_signatures.exceptions import InvalidSignature
from pydantic import SecretStr
from typer import Typer
from typer.testing import CliRunner

from brain.access.agents_commands import session as session_command
from brain.access.client import open_session
from brain.access.delegation import new_link
from brain.access.http_signatures import Asked, key_id, signed_headers
from brain.access.repository import Keys
from brain.access.settings import AccessSettings
from brain.errors import Forbidden
from brain.store import open_store
from support.server import running_server, without_consumers
from support.sizes import sizes
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "an-administrators-key-of-the-settings"
EVALUATE = "/api/policy/evaluate"
COVERED = ("@method", "@authority", "@target-uri", "content-digest", "content-type")


class OneKey(HTTPSignatureKeyResolver):
    """The foreign library's way to be given a key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.key = key

    def resolve_private_key(self, key_id: str) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def resolve_public_key(self, key_id: str) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def raw(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def served_now() -> int:
    return int(time.time())


class Served(NamedTuple):
    """A server with the agent a1 registered by `key`, and a database beside it."""

    client: httpx.AsyncClient
    url: str
    key: Ed25519PrivateKey
    folder: Path

    async def admin(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, headers={"Authorization": f"Bearer {ADMIN}"}, **more)

    async def refusals(self, count: int = 0) -> list[dict[str, Any]]:
        """All refusals, once there are at least so many."""
        found: list[dict[str, Any]] = []

        async def are_there() -> bool:
            found[:] = await self._refusals()
            return len(found) >= count

        await until(are_there)
        return found

    async def _refusals(self) -> list[dict[str, Any]]:
        path = "/api/events?pattern=access.request_refused&limit=1000&newest_first=false"
        return [one["event"] for one in (await self.admin("GET", path)).json()["events"]]

    def ours(self, body: bytes, path: str = EVALUATE, nonce: str = "", **more: Any) -> dict[str, str]:
        """The headers of a request that our own signer signed."""
        key = more.get("key", self.key)
        asked = Asked("POST", more.get("base", self.url), path, "", {})
        made = signed_headers(asked, body, key, nonce or time.time_ns().to_bytes(9).hex(), more.get("at", self.now()))
        return {**made, "content-type": "application/json"}

    def now(self) -> int:
        return served_now()

    def foreign(self, body: bytes, nonce: str) -> httpx.Request:
        """A request that the foreign library signed."""

        headers = {"content-type": "application/json"}
        request = self.client.build_request("POST", EVALUATE, content=body, headers=headers)
        signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=OneKey(self.key))
        signer.sign(
            request,
            key_id=key_id(raw(self.key)),
            created=datetime.fromtimestamp(self.now(), UTC),
            nonce=nonce,
            tag="agent",
            body=body,
            covered_component_ids=COVERED,
        )
        return request


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("agents")
    key = Ed25519PrivateKey.generate()
    settings = without_consumers(
        f"sqlite:///{folder}/b.db", api_key=SecretStr(ADMIN), access=AccessSettings(refuse_asserted=True)
    )
    async with running_server(settings) as (server, client):
        found = Served(client, server.url, key, folder)
        made = {"agent_id": "a1", "public_key": b64encode(raw(key)).decode()}
        assert (await found.admin("POST", "/api/access/agents", json=made)).json()["keyid"] == key_id(raw(key))
        deny = {
            "id": "proved-only",
            "name": "Payments need a proof",
            "effect": "ALLOW",
            "conditions": [
                {"field": "action", "operator": "==", "value": "pay"},
                {"field": "environment.identity", "operator": "==", "value": "proved"},
            ],
        }
        assert (await found.admin("POST", "/api/policy/rules", json=deny)).status_code == 201
        started = int(time.time())

        async def later() -> bool:
            return served_now() > started  # a server takes no signature of the second that it started in

        await until(later)
        yield found


BODY = b'{"agent_id": "a1", "action": "pay", "environment": {"identity": "proved"}}'


@pytest.mark.parametrize("count", sizes(5, 200))
async def test_a_foreign_signer_proves_an_agent(served: Served, count: int) -> None:
    before = len(await served.refusals())
    for number in range(count):
        answer = await served.client.send(served.foreign(BODY, f"foreign-nonce-{count}-{number}"))
        assert (answer.status_code, answer.json()["allowed"]) == (200, True), answer.text
    assert len(await served.refusals()) == before
    found = (await served.admin("GET", "/api/events?pattern=policy.rule_evaluated&limit=1")).json()["events"][0][
        "event"
    ]
    assert found["payload"]["environment"] == {"identity": "proved"}
    assert found["meta"]["principal"] == {"kind": "agent", "name": "a1", "how": "signature", "address": "127.0.0.1"}


@pytest.mark.parametrize("count", sizes(5, 200))
async def test_a_foreign_verifier_takes_our_signatures(served: Served, count: int) -> None:
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=OneKey(served.key))
    for number in range(count):
        body = BODY.replace(b"pay", f"pay-{number}".encode())
        request = served.client.build_request("POST", EVALUATE, content=body, headers=served.ours(body))
        (taken,) = verifier.verify(request, max_age=timedelta(minutes=1))
        assert taken.parameters["keyid"] == key_id(raw(served.key))
        assert set(taken.covered_components) >= {'"@method"', '"@target-uri"', '"content-digest"'}
        other = served.client.build_request("PUT", EVALUATE, content=body, headers=request.headers)
        with pytest.raises(InvalidSignature):
            verifier.verify(other, max_age=timedelta(minutes=1))


async def test_a_delegate_asks_in_the_place_of_another(served: Served) -> None:
    key = Ed25519PrivateKey.generate()
    made = {"agent_id": "b2", "public_key": b64encode(raw(key)).decode()}
    assert (await served.admin("POST", "/api/access/agents", json=made)).status_code == 201
    link = new_link(served.key, "b2", ["a1"], served.now() + 60)

    async def ask(link: str, body: bytes = BODY) -> httpx.Response:
        headers = {**served.ours(body, key=key), "Brain-Delegation": link}
        return await served.client.post(EVALUATE, content=body, headers=headers)

    answer = await ask(link)
    assert (answer.status_code, answer.json()["allowed"]) == (200, False)  # delegated is not proved
    events: list[dict[str, Any]] = []

    async def is_stored() -> bool:
        found = (await served.admin("GET", "/api/events?pattern=policy.rule_evaluated&limit=100")).json()["events"]
        events[:] = [one["event"] for one in found if one["event"]["meta"]["principal"]["name"] == "b2"]
        return bool(events)

    await until(is_stored)
    assert events[0]["payload"]["environment"] == {"identity": "delegated"}
    assert (events[0]["meta"]["on_behalf_of"], events[0]["meta"]["delegation"]) == ("a1", ["a1", "b2"])
    assert (await ask(link, BODY.replace(b'"a1"', b'"a3"'))).status_code == 403
    for bad in (new_link(key, "b2", ["a1"], served.now() + 60), link[:-4] + "AAAA", "x"):
        refused = await ask(bad)
        assert (refused.status_code, "delegation: link 1" in refused.json()["detail"]) == (401, True), refused.text
    first = [*served.ours(BODY, key=key).items(), ("Brain-Delegation", link)]
    twice = await served.client.post(EVALUATE, content=BODY, headers=[*first, ("Brain-Delegation", link)])
    assert (twice.status_code, "delegation: link 2" in twice.json()["detail"]) == (401, True), twice.text
    headers = {"Authorization": f"Bearer {ADMIN}", "Brain-Delegation": link}
    assert (await served.client.post(EVALUATE, content=BODY, headers=headers)).status_code == 401
    assert (await served.admin("DELETE", "/api/access/agents/b2")).status_code == 200


async def test_each_change_of_a_signed_request_is_refused_with_an_event(served: Served) -> None:
    before = len(await served.refusals())
    other = Ed25519PrivateKey.generate()
    good = served.ours(BODY)
    inputs = good["signature-input"]
    changed = {
        "body": (good, BODY.replace(b"pay", b"pry")),
        "digest": ({**good, "content-digest": good["content-digest"].swapcase()}, BODY),
        "no digest": ({k: v for k, v in good.items() if k != "content-digest"}, BODY),
        "port": (served.ours(BODY, base="http://127.0.0.1:1"), BODY),
        "path": (served.ours(BODY, "/api/policy/explain"), BODY),
        "query": (served.ours(BODY, f"{EVALUATE}?a=1"), BODY),
        "nonce": ({**good, "signature-input": inputs.replace('nonce="', 'nonce="1')}, BODY),
        "old": (served.ours(BODY, at=served.now() - 62), BODY),
        "ahead": (served.ours(BODY, at=served.now() + 63), BODY),
        "unknown key": (served.ours(BODY, key=other), BODY),
        "key of another": (
            {**served.ours(BODY, key=other), "signature-input": inputs},
            BODY,
        ),
        "label": ({**good, "signature-input": inputs.replace("sig=", "gis=")}, BODY),
        "twice": ({**good, "signature-input": f"{inputs}, {inputs}"}, BODY),
        "left out": ({**good, "signature-input": inputs.replace(' "@target-uri"', "")}, BODY),
        "uncovered body": ({**good, "signature-input": inputs.replace(' "content-digest"', "")}, BODY),
        "alg": ({**good, "signature-input": inputs.replace('"ed25519"', '"hmac-sha256"')}, BODY),
    }
    for name, (headers, body) in changed.items():
        answer = await served.client.post(EVALUATE, content=body, headers=headers)
        assert answer.status_code == 401, (name, answer.text)
    assert (await served.client.post(EVALUATE, content=BODY, headers=served.ours(BODY))).status_code == 200
    refused = (await served.refusals(before + len(changed)))[before:]
    assert len(refused) == len(changed)
    assert {one["meta"]["principal"]["name"] for one in refused} == {"anonymous"}, "a forger is not the agent"


@pytest.mark.parametrize("count", sizes(20, 100))
async def test_a_hundred_forgeries_and_a_hundred_replays_are_refused_each_with_one_event(
    served: Served, count: int
) -> None:
    before = len(await served.refusals())
    sent = [served.ours(BODY) for _ in range(count)]
    forged = [served.ours(BODY, key=Ed25519PrivateKey.generate()) for _ in range(count)]
    for headers in sent:
        assert (await served.client.post(EVALUATE, content=BODY, headers=headers)).status_code == 200
    answers = [
        await served.client.post(EVALUATE, content=BODY, headers={**headers, "Authorization": f"Bearer {ADMIN}"})
        for headers in sent + forged
    ]
    assert {answer.status_code for answer in answers} == {401}
    refused = (await served.refusals(before + 2 * count))[before:]
    assert len(refused) == 2 * count
    assert {one["meta"]["principal"]["name"] for one in refused} == {"BRAIN_API_KEY"}, "the key that was sent along"
    assert "nonce was seen" in refused[0]["payload"]["reason"]


async def test_a_session_costs_no_signature_and_ends_with_the_agent(served: Served) -> None:
    pem = served.folder / "a1.pem"
    pem.write_bytes(served.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    command = Typer()
    command.command()(session_command)
    run = await asyncio.to_thread(CliRunner().invoke, command, [served.url, "--key", str(pem)])
    assert run.exit_code == 0, run.output
    session = {"Authorization": f"Bearer {run.output.strip()}"}
    answer = await served.client.post(EVALUATE, content=BODY, headers={**session, "content-type": "application/json"})
    assert answer.json()["allowed"] is True
    other = BODY.replace(b"a1", b"a2")
    before = len(await served.refusals())
    for content, status in ((other, 403), (BODY.replace(b'"a1"', b"null"), 403)):
        made = {**session, "content-type": "application/json"}
        assert (await served.client.post(EVALUATE, content=content, headers=made)).status_code == status
    forged = {"Authorization": f"Bearer {run.output.strip()[:-1]}x"}
    assert (await served.client.get("/api/access/me", headers=forged)).status_code == 401
    assert (await served.client.post("/api/agents/session", headers=session)).status_code == 403, "a session gives none"
    names = [one["meta"]["principal"]["name"] for one in (await served.refusals(before + 4))[before:]]
    assert names == ["a1", "a1", "anonymous", "a1"]


async def test_a_refusal_says_what_that_sender_can_do(served: Served) -> None:
    other = Ed25519PrivateKey.generate()
    for headers, remedy in (
        ({}, "send a key as 'Authorization: Bearer KEY', or log in at /login"),
        ({"Authorization": "Bearer nothing"}, "send a key as 'Authorization: Bearer KEY', or log in at /login"),
        ({"Authorization": "Bearer brs_x"}, "`brain agents session` gives a new session"),
        (served.ours(BODY, key=other), "sign each request with the private key of a registered agent"),
        ({**served.ours(BODY), "Brain-Delegation": "x"}, "send links that `brain agents delegate` made for this agent"),
    ):
        answer = await served.client.post(EVALUATE, content=BODY, headers=headers)
        assert (answer.status_code, answer.json()["detail"].rpartition("; ")[2]) == (401, remedy), answer.text
    pem = served.folder / "other.pem"
    pem.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(Forbidden, match=r"^the signature is of a key.*registered agent$"):
        await asyncio.to_thread(open_session, served.url, pem)


async def test_a_header_of_another_scheme_is_said_and_not_shown(served: Served) -> None:
    for sent in ("Basic YW5uOnNlY3JldA==", ADMIN):
        answer = await served.client.post(EVALUATE, content=BODY, headers={"Authorization": sent})
        assert answer.status_code == 401
        assert answer.json()["detail"].startswith("the Authorization header does not begin with 'Bearer '; send a key")
        assert sent not in answer.text


async def test_of_two_authorizations_neither_counts(served: Served) -> None:
    good, bad = f"Bearer {ADMIN}", "Bearer nothing"
    for first, second in ((good, bad), (bad, good), (good, good)):
        both = [("Authorization", first), ("Authorization", second)]
        for method, path in (("GET", "/api/access/me"), ("POST", EVALUATE)):
            answer = await served.client.request(method, path, headers=both, content=BODY)
            assert (answer.status_code, "more than one Authorization" in answer.text) == (401, True), answer.text


async def test_under_the_id_of_a_registered_agent_nobody_else_asks(served: Served) -> None:
    ci = Keys(open_store(f"sqlite:///{served.folder}/b.db"), None).new("ci", "evaluator", agents=["a1", "a2"]).secret
    for key in (ADMIN, ci):
        made = {"Authorization": f"Bearer {key}"}
        assert (await served.client.post(EVALUATE, content=BODY, headers=made)).status_code == 415
        made["content-type"] = "application/json"
        assert (await served.client.post(EVALUATE, content=BODY, headers=made)).status_code == 403
        other = BODY.replace(b"a1", b"a2")
        answer = await served.client.post(EVALUATE, content=other, headers=made)
        assert (answer.status_code, answer.json()["allowed"]) == (200, False), "asserted, whatever the body says"
    none = {"Authorization": f"Bearer {ADMIN}"}
    assert (await served.client.post(EVALUATE, json={"action": "pay"}, headers=none)).status_code == 200


async def test_a_retired_agent_is_refused(served: Served) -> None:
    headers = {"signature-input": "", **served.ours(b"", "/api/agents/session")}
    token = (await served.client.post("/api/agents/session", headers=headers)).json()["session"]
    assert (await served.admin("DELETE", "/api/access/agents/a1")).json()["retired_at"] is not None
    assert (await served.admin("DELETE", "/api/access/agents/none")).status_code == 404

    async def over() -> bool:
        answer = await served.client.get("/api/access/me", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code == 401

    await until(over)
    answer = await served.client.post(EVALUATE, content=BODY, headers=served.ours(BODY))
    assert (answer.status_code, "retired" in answer.text) == (401, True)
    found = (await served.admin("GET", "/api/access/agents")).json()
    assert [one["agent_id"] for one in found if one["retired_at"] is None] == []
