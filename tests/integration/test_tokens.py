"""Services and agents that prove who they are by tokens of an issuer: a real one, over HTTP, with joserfc."""

from __future__ import annotations

import json
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from pydantic import SecretStr, ValidationError

from brain.access.models import Role
from brain.access.published_keys import AGAIN_SECONDS
from brain.access.settings import AccessSettings, IssuerSettings
from brain.access.token_issuers import LONGEST, TokenFault, TokenIssuers, faults_of_files
from brain.server.app import create_app
from brain.store.memory import MemoryStore
from brain.stream import EventStream
from support.clock import Clock
from support.command import Command
from support.server import running_server, without_consumers
from support.token_issuer import AUDIENCE, TestIssuer
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "an-administrators-key-of-the-settings"
DOMAIN = "spiffe://Example.org"
WORKLOAD = "spiffe://example.org/billing/7"


class Served(NamedTuple):
    """A server that knows two issuers, one whose tokens count once, and one whose tokens are bound to keys."""

    client: httpx.AsyncClient
    issuer: TestIssuer
    spiffe: TestIssuer
    once: TestIssuer
    bound: TestIssuer
    started: int

    async def admin(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, headers=bearer(ADMIN), **more)

    async def evaluate(self, token: str, agent_id: str) -> httpx.Response:
        body = {"agent_id": agent_id, "agent_role": "guest", "action": "read", "resource": "db"}
        return await self.client.post("/api/policy/evaluate", json=body, headers=bearer(token))

    async def me(self, token: str) -> httpx.Response:
        return await self.client.get("/api/access/me", headers=bearer(token))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("tokens")
    issuer, spiffe, once, bound = TestIssuer(), TestIssuer(), TestIssuer(), TestIssuer()
    (folder / "bundle.json").write_text(json.dumps(spiffe.jwks()))
    with issuer.serving(), once.serving(), bound.serving():
        roles = {"soc": Role.OPERATOR, "read": Role.VIEWER}
        issuers = (
            IssuerSettings(issuer=issuer.url, audience=(AUDIENCE, "brain-2"), roles=roles),
            IssuerSettings(issuer=DOMAIN, audience=(AUDIENCE,), jwks=str(folder / "bundle.json")),
            IssuerSettings(issuer=bound.url, audience=(AUDIENCE,), default_role=Role.VIEWER, dpop="required"),
            IssuerSettings(issuer=once.url, audience=(AUDIENCE,), once=True, default_role=Role.VIEWER),
        )
        settings = without_consumers(
            f"sqlite:///{folder / 'brain.db'}", api_key=SecretStr(ADMIN), access=AccessSettings(issuers=issuers)
        )
        async with running_server(settings) as (_, client):
            found = Served(client, issuer, spiffe, once, bound, int(time.time()))
            for agent_id, of, subject in (("a1", issuer.url, "agent-1"), ("billing", DOMAIN, WORKLOAD)):
                body = {"agent_id": agent_id, "issuer": of, "subject": subject}
                made = await found.admin("POST", "/api/access/agents", json=body)
                assert made.status_code == 201, made.text
            yield found


async def test_an_agent_is_proven_by_its_issuer(served: Served) -> None:
    token = served.issuer.token("agent-1")
    for _ in range(2):  # the second time from memory
        answer = await served.evaluate(token, "a1")
        assert answer.status_code == 200, answer.text
    assert (await served.evaluate(token, "a2")).status_code == 403
    assert (await served.client.get("/api/policy/rules", headers=bearer(token))).status_code == 403
    who = (await served.me(token)).json()
    assert (who["kind"], who["name"], who["how"], who["role"]) == ("agent", "a1", "token", "evaluator")
    found = (await served.admin("GET", "/api/events?pattern=policy.rule_evaluated&limit=1")).json()["events"]
    event = found[0]["event"]
    assert event["payload"]["environment"]["identity"] == "proved"
    assert event["meta"]["principal"]["name"] == "a1"


async def test_a_service_has_the_role_of_its_claim(served: Served) -> None:
    for roles, status in ((["soc", "other"], 200), ("read write", 200), (["other"], 401), (None, 401), (7, 401)):
        token = served.issuer.token("ci", roles=roles)
        answer = await served.client.get("/api/policy/rules", headers=bearer(token))
        assert answer.status_code == status, (roles, answer.text)
    who = (await served.me(served.issuer.token("ci", roles=["soc"]))).json()
    assert (who["kind"], who["role"]) == ("service", "operator")
    assert who["name"] == f"{served.issuer.url[7:]}/ci"
    answer = await served.client.get("/api/policy/rules", headers=bearer(served.issuer.token("ci")))
    assert "is no registered agent, and has no role here" in answer.json()["detail"]


def dpop(token: str, url: str, key: Key, method: str = "POST", **changes: Any) -> dict[str, str]:
    """The headers of a request with a token that is bound to the key (RFC 9449)."""
    ath = urlsafe_b64encode(sha256(token.encode()).digest()).rstrip(b"=").decode()
    claims = {"jti": uuid4().hex, "htm": method, "htu": url, "iat": int(time.time()), "ath": ath, **changes}
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    return {"Authorization": f"DPoP {token}", "DPoP": jwt.encode(head, claims, key)}


async def test_a_bound_token_counts_with_a_proof_of_its_key_alone(served: Served) -> None:
    key, path = ECKey.generate_key("P-256"), "/api/policy/evaluate"
    url = f"{served.client.base_url}{path}"
    token = served.issuer.token("agent-1", cnf={"jkt": key.thumbprint()})
    body = {"agent_id": "a1", "agent_role": "guest", "action": "read", "resource": "db"}

    async def ask(headers: Any, where: str = path) -> httpx.Response:
        return await served.client.post(where, json=body, headers=headers)

    await until(lambda: int(time.time()) > served.started)
    assert (await ask(dpop(token, url, key))).status_code == 200
    assert (await ask(dpop(token, url, key), f"{path}?")).status_code == 200
    proof = dpop(token, url, key)
    assert (await ask(proof)).status_code == 200
    algorithms = 'algs="RS256 PS256 ES256 ES384 Ed25519"'
    bad_proof = f'DPoP error="invalid_dpop_proof", {algorithms}'
    unbound = served.issuer.token("agent-1")
    for headers, why, challenge in (
        (proof, "was sent before", bad_proof),
        (dpop(token, f"{url}x", key), "for another URL", bad_proof),
        (
            dpop(token, url, ECKey.generate_key("P-256")),
            "by another key",
            bad_proof,
        ),
        ({"Authorization": f"DPoP {token}"}, "one header DPoP", bad_proof),
        (bearer(token), "bound to a key; send it as", f"Bearer, DPoP {algorithms}"),
        ({**proof, **bearer(token)}, "bound to a key; send it as", f"Bearer, DPoP {algorithms}"),
        (dpop(unbound, url, key), "bound to no key", f'DPoP error="invalid_token", {algorithms}'),
    ):
        refused = await ask(headers)
        assert (refused.status_code, why in refused.json()["detail"]) == (401, True), (why, refused.text)
        assert refused.headers["www-authenticate"] == challenge
    several = [*dpop(token, url, key).items(), ("DPoP", proof["DPoP"])]
    assert (await ask(several)).status_code == 401
    assert (await ask(bearer(unbound))).status_code == 200, "one that is not bound is a bearer as before"
    me = f"{served.client.base_url}/api/access/me"
    who = (await served.client.get(me, headers=dpop(token, me, key, "GET"))).json()
    assert (who["name"], who["how"]) == ("a1", "token with dpop")
    found = (await served.admin("GET", "/api/events?pattern=access.request_refused&limit=20")).json()["events"]
    assert sum("DPoP" in one["event"]["payload"]["reason"] for one in found) >= 5


async def test_an_issuer_may_have_to_bind_its_tokens(served: Served) -> None:
    key, url = ECKey.generate_key("P-256"), f"{served.client.base_url}/api/policy/rules"
    refused = await served.client.get(url, headers=bearer(served.bound.token("ci")))
    assert (refused.status_code, "which is required of its issuer's" in refused.text) == (401, True)
    token = served.bound.token("ci", cnf={"jkt": key.thumbprint()})
    assert (await served.client.get(url, headers=dpop(token, url, key, "GET"))).status_code == 200
    other = served.bound.token("ci", cnf={"x5t#S256": "x"})
    assert (await served.client.get(url, headers=dpop(other, url, key, "GET"))).status_code == 401


async def test_a_workload_is_proven_by_its_spiffe_id(served: Served) -> None:
    svid = served.spiffe.token(WORKLOAD, iss=None, iat=None)
    assert (await served.evaluate(svid, "billing")).status_code == 200
    other_case = served.spiffe.token("SPIFFE://EXAMPLE.org/billing/7", iss="https://whatever.example.org")
    assert (await served.evaluate(other_case, "billing")).status_code == 200
    for subject in (
        "spiffe://example.com/billing/7",
        "spiffe://example.org/billing/8",
        "spiffe://example.org/billing/7/",
        "spiffe://example.org/x/../billing/7",
        "spiffe://example.org/billing//7",
        "spiffe://example.org/billing/7?a=b",
        "spiffe://example.org",
        "billing",
    ):
        refused = await served.evaluate(served.spiffe.token(subject, iss=None), "billing")
        assert refused.status_code == 401, subject


NOW = int(time.time())
STRANGER = OKPKey.generate_key("Ed25519", parameters={"kid": "k1"})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"exp": NOW - 100}, "expired"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"iat": None}, "iat"),
        ({"iat": NOW + 1000}, "iat|future|valid"),
        ({"nbf": NOW + 1000}, "nbf|valid"),
        ({"aud": "somebody-else"}, "aud"),
        ({"aud": None}, "aud"),
        ({"iss": "https://unknown.example.org"}, "no issuer that this server knows"),
        ({"iss": None}, "no issuer that this server knows"),
        ({"subject": ""}, "sub"),
        ({"subject": "a b"}, "visible letters"),
        ({"sub": None}, "sub"),
        ({"key": STRANGER}, "not signed by a key of its issuer"),
        ({"key": OctKey.import_key("k" * 40, {"kid": "k1"})}, "not signed"),
        ({"header": {"kid": "another"}}, "not signed"),
        ({"header": {"jwk": STRANGER.as_dict(private=False)}, "key": STRANGER}, "not signed"),
        ({"header": {"typ": "dpop+jwt"}}, "no bearer"),
        ({"header": {"typ": "logout+jwt"}}, "no bearer"),
        ({"more": "x" * LONGEST}, "letters"),
    ],
)
async def test_tokens_that_prove_nothing(served: Served, changes: dict[str, Any], why: str) -> None:
    token = served.issuer.token(**{"subject": "agent-1", **changes})
    answer = await served.evaluate(token, "a1")
    assert answer.status_code == 401, answer.text
    assert re.search(why, answer.json()["detail"]), answer.json()["detail"]


async def test_texts_that_are_no_tokens(served: Served) -> None:
    for text in ("eyJ..", "eyJhbGciOiJub25lIn0.e30.", "eyJ.eyJ.eyJ", f"eyJ{'A' * 100}.{'A' * 10}.x"):
        assert (await served.evaluate(text, "a1")).status_code == 401
    good = served.issuer.token("agent-1")
    head, claims, signature = good.split(".")
    other = f"{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    for altered in (f"{head}.{claims}.{other}", f"{head}.{claims}.", f"{head}.{claims[:-1]}.{signature}"):
        assert (await served.evaluate(altered, "a1")).status_code == 401


async def test_a_token_that_counts_once(served: Served) -> None:
    token = served.once.token("ci", jti="t-1")
    assert (await served.me(token)).status_code == 200
    again = await served.me(token)
    assert (again.status_code, "its jti was seen" in again.json()["detail"]) == (401, True)
    assert (await served.me(served.once.token("ci", jti="t-2"))).status_code == 200
    assert (await served.me(served.once.token("ci"))).status_code == 401

    async def named() -> bool:
        found = (await served.admin("GET", "/api/events?pattern=access.request_refused&limit=100")).json()["events"]
        return any(
            "jti was seen" in one["event"]["payload"]["reason"]
            and one["event"]["meta"]["principal"]["name"].endswith("/ci")
            for one in found
        )

    await until(named)


async def test_a_retired_agent_is_refused_by_name(served: Served) -> None:
    body = {"agent_id": "a9", "issuer": served.issuer.url, "subject": "agent-9"}
    assert (await served.admin("POST", "/api/access/agents", json=body)).status_code == 201
    assert (await served.admin("POST", "/api/access/agents", json={**body, "agent_id": "a8"})).status_code == 409
    token = served.issuer.token("agent-9")
    assert (await served.evaluate(token, "a9")).status_code == 200
    assert (await served.admin("DELETE", "/api/access/agents/a9")).status_code == 200

    async def is_refused() -> bool:
        answer = await served.evaluate(token, "a9")
        return answer.status_code == 401 and "the agent a9 is retired" in answer.json()["detail"]

    await until(is_refused)
    for wrong in ({"agent_id": "x"}, {**body, "public_key": "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="}):
        assert (await served.admin("POST", "/api/access/agents", json=wrong)).status_code == 422


async def test_keys_are_read_again_after_the_clock_was_set_back() -> None:
    issuer, clock = TestIssuer(), Clock(time.time())
    with issuer.serving():
        issuers = TokenIssuers([IssuerSettings(issuer=issuer.url, audience=(AUDIENCE,))], clock)
        assert (await issuers.verify(issuer.token("a"))).subject == "a"
        clock.advance(-86_400.0)
        issuer.key = OKPKey.generate_key("Ed25519", parameters={"kid": "k2"})
        issuer.published = [issuer.key]
        assert (await issuers.verify(issuer.token("a", iat=int(clock())))).subject == "a"


async def test_a_server_that_an_issuer_alone_guards_says_in_its_document_what_it_needs() -> None:
    issuer = TestIssuer()
    with issuer.serving():
        known = IssuerSettings(issuer=issuer.url, audience=(AUDIENCE,), default_role=Role.VIEWER)
        async with running_server(without_consumers(access=AccessSettings(issuers=(known,)))) as (_, client):
            assert (await client.get("/openapi.json")).status_code == 401
            document = (await client.get("/openapi.json", headers=bearer(issuer.token("ci")))).json()
    assert {"401", "403"} <= document["paths"]["/api/events"]["get"]["responses"].keys()
    assert document["components"]["securitySchemes"]


async def test_keys_change_while_the_server_runs() -> None:
    issuer, clock = TestIssuer(), Clock(time.time())
    with issuer.serving():
        issuers = TokenIssuers([IssuerSettings(issuer=issuer.url, audience=(AUDIENCE,))], clock)
        assert (await issuers.verify(issuer.token("a"))).subject == "a"
        for key in (
            OKPKey.generate_key("Ed25519", parameters={"kid": "k2"}),
            OKPKey.generate_key("Ed25519", parameters={"kid": "k2"}),  # the same name, another key
            ECKey.generate_key("P-256", parameters={"kid": "k3"}),
            RSAKey.generate_key(2048, parameters={"kid": "k3"}),
        ):
            clock.advance(AGAIN_SECONDS)
            issuer.key, issuer.published = key, [key]
            assert (await issuers.verify(issuer.token("a"))).subject == "a"
        reads = issuer.reads
        for number in range(200):
            with pytest.raises(TokenFault):
                await issuers.verify(issuer.token("a", header={"kid": f"unknown-{number}"}))
        assert issuer.reads == reads
        two = [OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")]
        issuer.published, issuer.key = two, two[1]
        clock.advance(AGAIN_SECONDS)
        assert (await issuers.verify(issuer.token("a", header={"kid": None}))).subject == "a"
    clock.advance(AGAIN_SECONDS)
    assert (await issuers.verify(issuer.token("a", header={"kid": None}))).subject == "a"  # the issuer is away
    now = int(clock())
    for changes, good in (
        ({"exp": now - 29}, True),
        ({"exp": now - 31}, False),
        ({"iat": now + 29}, True),
        ({"iat": now + 31}, False),
    ):
        token = issuer.token("a", header={"kid": None}, **{"exp": now + 300, "iat": now, **changes})
        if good:
            await issuers.verify(token)
        else:
            with pytest.raises(TokenFault):
                await issuers.verify(token)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"issuer": "id.example.org"}, "must be a URL"),
        ({"issuer": "http://id.example.org"}, "must be an https"),
        ({"issuer": "https://id.example.org", "jwks": "http://id.example.org/keys"}, "must be an https"),
        ({"issuer": "spiffe://example.org/path", "jwks": "keys.json"}, "trust domain"),
        ({"issuer": "spiffe://example.org"}, "jwks: is missing"),
        ({"issuer": "https://id.example.org", "default_role": "evaluator"}, "register each"),
        ({"issuer": "https://id.example.org", "audience": ()}, "audience"),
        ({"issuer": "https://id.example.org", "algorithms": ("HS256",)}, "algorithms"),
    ],
)
async def test_settings_that_let_nobody_in(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        IssuerSettings(**{"audience": (AUDIENCE,), **given})


async def test_the_command_registers_by_issuer(brain: Command, tmp_path: Path) -> None:
    made = brain("agents", "register", "a1", "--issuer", "https://id.example.org", "--subject", "agent-1", "--json")
    assert made.code == 0, made.err
    assert (made.json["issuer"], made.json["subject"]) == ("https://id.example.org", "agent-1")
    cased = brain(
        "agents", "register", "b7", "--issuer", DOMAIN, "--subject", "SPIFFE://EXAMPLE.org/Billing/7", "--json"
    )
    assert (cased.json["issuer"], cased.json["subject"]) == ("spiffe://example.org", "spiffe://example.org/Billing/7")
    assert IssuerSettings(issuer=DOMAIN, audience=(AUDIENCE,), jwks="keys.json").issuer == cased.json["issuer"]
    wrong = brain("agents", "register", "a2", "--issuer", "id.example.org", "--subject", "x")
    assert (wrong.code, "issuer: 'id.example.org' must be a URL" in wrong.err) == (2, True)
    refused = brain("agents", "register", "a2", "--issuer", "https://id.example.org")
    assert (refused.code, "--issuer and --subject" in refused.err) == (2, True)


async def test_keys_in_a_file_that_cannot_be_read_are_said_at_the_start_and_by_doctor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = tmp_path / "bundle.json"
    issuer = IssuerSettings(issuer=DOMAIN, audience=(AUDIENCE,), jwks=str(bundle))
    for content, fault in ((None, "No such file"), ("{", "cannot be read"), ("{}", "is no set of keys")):
        if content is not None:
            bundle.write_text(content)
        (found,) = faults_of_files([issuer])
        assert str(bundle) in found
        assert fault in found
    async with EventStream.open("memory://") as stream:
        create_app(stream, MemoryStore(), without_consumers(access=AccessSettings(issuers=(issuer,))))
    assert f"{bundle} is no set of keys" in caplog.text
    table = f'[[access.issuers]]\nissuer = "{DOMAIN}"\naudience = ["{AUDIENCE}"]\njwks = "{bundle}"\n'
    (tmp_path / "brain.toml").write_text(table)
    ran = Command(tmp_path)("doctor", "--json")
    assert [found["state"] for found in ran.json if found["part"] == "tokens"] == ["bad"]
    bundle.write_text(json.dumps(TestIssuer().jwks()))
    assert faults_of_files([issuer]) == []
