"""Agents that client certificates prove (SPIFFE's X.509-SVID), over real TLS, with files that change meanwhile."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr, ValidationError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from brain.access.settings import AccessSettings, TrustDomainSettings
from brain.access.x509_svid import Bundles
from brain.errors import InvalidInput
from brain.server.running import running
from brain.server.tls import ServerTls, server_tls
from support.certificates import make_certificates
from support.server import without_consumers
from support.svids import Authority, client_context, der, pem
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "an-administrators-key-of-the-settings"
BILLING = "spiffe://example.org/billing/7"


class Served(NamedTuple):
    """A server with a certificate that knows the trust domains example.org and other.org."""

    url: str
    folder: Path
    ours: Authority
    others: Authority

    async def ask(self, certificate: Path | None, agent: str = "billing-7", **more: Any) -> httpx.Response:
        body = {"agent_id": agent, "agent_role": "guest", "action": "read", "resource": "db"}
        context = client_context(self.folder / "ca.pem", certificate)
        async with httpx.AsyncClient(base_url=self.url, verify=context, timeout=60, trust_env=False) as client:
            return await client.post("/api/policy/evaluate", json=body, **more)

    async def admin(self, method: str, path: str, **more: Any) -> httpx.Response:
        context = client_context(self.folder / "ca.pem")
        async with httpx.AsyncClient(base_url=self.url, verify=context, timeout=60, trust_env=False) as client:
            return await client.request(method, path, headers={"Authorization": f"Bearer {ADMIN}"}, **more)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("svids")
    make_certificates(folder)
    ours, others = Authority("example.org"), Authority("other.org")
    (folder / "ours.pem").write_bytes(pem(ours.certificate))
    (folder / "others.pem").write_bytes(pem(others.certificate))
    access = AccessSettings(
        trust_domains=(
            TrustDomainSettings(trust_domain="spiffe://Example.org", bundle=str(folder / "ours.pem")),
            TrustDomainSettings(trust_domain="other.org", bundle=str(folder / "others.pem")),
        )
    )
    settings = without_consumers(
        api_key=SecretStr(ADMIN),
        access=access,
        tls_certificate=str(folder / "server.pem"),
        tls_key=str(folder / "server.key"),
    )
    async with running(settings) as server:
        assert server.url.startswith("https://127.0.0.1:")
        found = Served(server.url, folder, ours, others)
        body = {"agent_id": "billing-7", "issuer": "spiffe://example.org", "subject": BILLING}
        made = await found.admin("POST", "/api/access/agents", json=body)
        assert made.status_code == 201, made.text
        yield found


async def test_a_certificate_proves_the_registered_agent(served: Served) -> None:
    between = Authority("between", by=served.ours)
    for name, authority, uri in (
        ("direct", served.ours, BILLING),
        ("between", between, BILLING),
        ("case", served.ours, "SPIFFE://EXAMPLE.org/billing/7"),
    ):
        file = served.folder / f"{name}.pem"
        authority.svid(file, uri, dns="billing.example.org")
        answer = await served.ask(file)
        assert answer.status_code == 200, (name, answer.text)
    assert (await served.ask(served.folder / "direct.pem", agent="another")).status_code == 403
    found = (await served.admin("GET", "/api/events?pattern=policy.rule_evaluated&limit=1")).json()["events"]
    event = found[0]["event"]
    assert event["payload"]["environment"]["identity"] == "proved"
    who = {"kind": "agent", "name": "billing-7", "how": "spiffe-x509", "address": "127.0.0.1"}
    assert event["meta"]["principal"] == who


async def test_a_key_that_is_sent_along_goes_first(served: Served) -> None:
    served.ours.svid(served.folder / "own.pem", BILLING)
    key = {"Authorization": f"Bearer {ADMIN}"}
    assert (await served.ask(served.folder / "own.pem", agent="another", headers=key)).status_code == 200
    wrong = {"Authorization": "Bearer nothing"}
    assert (await served.ask(served.folder / "own.pem", headers=wrong)).status_code == 401
    assert (await served.ask(None)).status_code == 401
    assert (await served.admin("GET", "/api/policy/rules")).status_code == 200, "who has a key needs no certificate"


REFUSED: list[tuple[str, tuple[str, ...], dict[str, Any], str]] = [
    ("two", (BILLING, "spiffe://example.org/x"), {}, "names 2 URIs"),
    ("none", (), {"dns": "billing.example.org"}, "names 0 URIs"),
    ("nobody", ("spiffe://example.org/x",), {}, "no agent is registered as spiffe://example.org/x"),
    ("domain", ("spiffe://third.org/billing/7",), {}, "by no authority of spiffe://third.org"),
    ("root", ("spiffe://example.org",), {}, "no SPIFFE id of a workload"),
    ("dots", ("spiffe://example.org/x/../billing/7",), {}, "no SPIFFE id of a workload"),
    ("slash", (f"{BILLING}/",), {}, "no SPIFFE id of a workload"),
    ("empty", ("spiffe://example.org//billing/7",), {}, "no SPIFFE id of a workload"),
    ("query", (f"{BILLING}?a=b",), {}, "no SPIFFE id of a workload"),
    ("port", ("spiffe://example.org:80/billing/7",), {}, "no SPIFFE id of a workload"),
    ("https", ("https://example.org/billing/7",), {}, "no SPIFFE id of a workload"),
    ("signs", (BILLING,), {"usage": {"digital_signature": True, "key_cert_sign": True}}, "that of an authority"),
    ("usage", (BILLING,), {"usage": {"key_agreement": True}}, "does not sign"),
]


@pytest.mark.parametrize(("name", "uris", "more", "why"), REFUSED, ids=[one[0] for one in REFUSED])
async def test_each_other_certificate_is_refused(
    served: Served, name: str, uris: tuple[str, ...], more: dict[str, Any], why: str
) -> None:
    chain = [served.ours.svid(served.folder / "refused.pem", *uris, **more), served.ours.certificate]
    bundles = Bundles(
        [TrustDomainSettings(trust_domain="example.org", bundle=str(served.folder / "ours.pem"))],
    )
    found = bundles.peer([der(one) for one in chain])
    assert why in (found.fault or f"no agent is registered as {found.id}")
    if name in ("two", "nobody", "domain"):
        answer = await served.ask(served.folder / "refused.pem")
        assert (answer.status_code, why in answer.json()["detail"]) == (401, True), answer.text


async def test_no_domain_vouches_for_another(served: Served) -> None:
    served.others.svid(served.folder / "foreign.pem", BILLING)
    answer = await served.ask(served.folder / "foreign.pem")
    assert (answer.status_code, "by no authority of spiffe://example.org" in answer.text) == (401, True)
    found = (await served.admin("GET", "/api/events?pattern=access.request_refused&limit=1")).json()["events"]
    assert "by no authority of" in found[0]["event"]["payload"]["reason"]
    Authority("stranger").svid(served.folder / "stranger.pem", BILLING)
    served.ours.svid(served.folder / "past.pem", BILLING, seconds=-60)
    served.ours.svid(served.folder / "authority.pem", BILLING, ca=True)
    for name in ("stranger", "past"):
        with pytest.raises((httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, ssl.SSLError)):
            await served.ask(served.folder / f"{name}.pem")
    assert (await served.ask(served.folder / "authority.pem")).status_code == 401


async def test_a_certificate_says_who_opens_a_websocket(served: Served) -> None:
    """An agent may follow no telemetry by the roles as they are: it is refused as the agent that it is."""
    url = f"{served.url.replace('https', 'wss')}/api/telemetry/tail"
    certificate = served.folder / "socket.pem"
    served.ours.svid(certificate, BILLING)
    for client, status in ((certificate, 403), (None, 401)):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(url, ssl=client_context(served.folder / "ca.pem", client)):
                pass
        assert refused.value.response.status_code == status
    names: list[str] = []

    async def are_told() -> bool:
        found = await served.admin("GET", "/api/events?pattern=access.request_refused&limit=1000")
        events = [one["event"] for one in found.json()["events"]]
        names[:] = [one["meta"]["principal"]["name"] for one in events if one["payload"]["path"].endswith("/tail")]
        return len(names) >= 2

    await until(are_told)
    assert sorted(names) == ["anonymous", "billing-7"]
    admin = {"Authorization": f"Bearer {ADMIN}"}
    async with connect(url, ssl=client_context(served.folder / "ca.pem", certificate), additional_headers=admin):
        pass  # a key that is sent along goes first


async def test_new_authorities_and_certificates_are_taken_while_it_runs(served: Served, tmp_path: Path) -> None:
    first, second = Authority("example.org"), Authority("example.org")
    file, bundle = tmp_path / "own.pem", tmp_path / "bundle.pem"
    bundle.write_bytes(pem(first.certificate))
    make_certificates(tmp_path)
    file.write_bytes((tmp_path / "server.pem").read_bytes())
    key = tmp_path / "server.key"
    tls = ServerTls(file, key, Bundles([TrustDomainSettings(trust_domain="example.org", bundle=str(bundle))]))
    new = [der(second.svid(tmp_path / "new.pem", BILLING)), der(second.certificate)]
    old = [der(first.svid(tmp_path / "old.pem", BILLING)), der(first.certificate)]
    _write(bundle, pem(second.certificate))
    tls.refresh()
    assert tls._bundles.peer(new).fault is None
    assert tls._bundles.peer(old).fault is not None, "an authority that was taken away counts no more"
    _write(bundle, b"nothing")
    tls.refresh()
    assert tls._bundles.peer(new).fault is None, "the former go on"
    before = tls.newest.cert_store_stats()["x509_ca"]
    _write(file, (served.folder / "server.pem").read_bytes())  # it does not fit the key
    _write(bundle, pem(second.certificate))
    tls.refresh()
    assert tls.newest.cert_store_stats()["x509_ca"] == before
    server, client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = tls.listening.wrap_bio(client, server, server_side=True)
    theirs = client_context(tmp_path / "ca.pem").wrap_bio(server, client, server_hostname="127.0.0.1")
    for _ in range(4):
        for end in (theirs, ours):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert theirs.getpeercert() is not None, "the former certificate goes on"


def _write(file: Path, data: bytes) -> None:
    """As renewals do: a new file in the place of the old one."""
    file.with_suffix(".new").write_bytes(data)
    os.replace(file.with_suffix(".new"), file)


async def test_a_server_takes_its_new_certificate(served: Served, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    for name in ("server.pem", "server.key"):
        _write(served.folder / name, (tmp_path / name).read_bytes())

    async def is_new() -> bool:
        context = client_context(tmp_path / "ca.pem")
        async with httpx.AsyncClient(base_url=served.url, verify=context, trust_env=False) as client:
            try:
                return (await client.get("/healthz")).status_code == 200
            except httpx.ConnectError:
                return False

    began = time.monotonic()
    await until(is_new)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("access", "files", "why"),
    [
        ({}, {"tls_key": "server.key"}, "tls_key: needs the server's own certificate"),
        ({"trust_domains": [{"trust_domain": "a.org", "bundle": "x"}]}, {}, "needs the server's own certificate"),
        ({}, {"tls_certificate": "missing.pem"}, "tls_certificate, tls_key: .*missing.pem cannot be read"),
        ({}, {"tls_certificate": "server.pem"}, "tls_certificate, tls_key: "),
        ({}, {"tls_certificate": "server.pem", "tls_key": "client.key"}, "are no certificate and its key"),
        (
            {"trust_domains": [{"trust_domain": "a.org", "bundle": "missing.pem"}]},
            {"tls_certificate": "server.pem", "tls_key": "server.key"},
            "missing.pem: cannot be read",
        ),
        (
            {"trust_domains": [{"trust_domain": "a.org", "bundle": "server.key"}]},
            {"tls_certificate": "server.pem", "tls_key": "server.key"},
            "holds no certificates",
        ),
    ],
)
async def test_settings_that_no_tls_can_be_made_of(
    access: dict[str, Any], files: dict[str, str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificates(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = without_consumers(access=AccessSettings.model_validate(access), **files)
    with pytest.raises(InvalidInput, match=why):
        server_tls(settings)


async def test_names_of_trust_domains() -> None:
    for name in ("", "a b", "example.org/x", "exämple.org", "a:80"):
        with pytest.raises(ValidationError, match="no name of a trust domain"):
            TrustDomainSettings(trust_domain=name, bundle="x")
    with pytest.raises(ValidationError, match="given twice"):
        AccessSettings.model_validate({"trust_domains": [{"trust_domain": "a.org", "bundle": "x"}] * 2})
