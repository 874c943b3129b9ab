"""Client certificates beyond their first request: resumed sessions, open connections, and answers that last."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

import brain.access
from brain.access.settings import AccessSettings, TrustDomainSettings
from brain.server import lasting, tls
from brain.server.running import running
from support.certificates import make_certificates
from support.server import without_consumers
from support.svids import Authority, client_context, pem
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "an-administrators-key-of-the-settings"
BILLING = "spiffe://example.org/billing/7"
BODY = json.dumps({"agent_id": "billing-7", "agent_role": "guest", "action": "read", "resource": "db"}).encode()
HEAD = b"POST /api/policy/evaluate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
REQUEST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


class Served(NamedTuple):
    """A server that lets agents follow events, too, where `billing-7` is registered."""

    port: int
    folder: Path
    authority: Authority

    def connect(self, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return context.wrap_socket(plain, server_hostname="127.0.0.1", session=session)

    def context(self, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = client_context(self.folder / "ca.pem", self.folder / "own.pem")
        context.maximum_version = highest
        return context


def asked(connection: ssl.SSLSocket, request: bytes = REQUEST) -> bytes:
    """The first line of the answer."""
    connection.sendall(request)
    found = b""
    while not found.endswith(b"}"):
        data = connection.recv(65_536)
        assert data, "the server closed the connection"
        found += data
    return found.partition(b"\r\n")[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("lasting")
    make_certificates(folder)
    authority = Authority("example.org")
    (folder / "bundle.pem").write_bytes(pem(authority.certificate))
    authority.svid(folder / "own.pem", BILLING)
    ours = (Path(brain.access.__file__).parent / "roles.json").read_text()
    (folder / "rules.json").write_text(ours.replace('"viewer"', '"viewer", "evaluator"'))
    domain = TrustDomainSettings(trust_domain="example.org", bundle=str(folder / "bundle.pem"))
    settings = without_consumers(
        api_key=SecretStr(ADMIN),
        access=AccessSettings(trust_domains=(domain,), rules=str(folder / "rules.json")),
        tls_certificate=str(folder / "server.pem"),
        tls_key=str(folder / "server.key"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tls, "LOOK_SECONDS", 0.05)
        patch.setattr(lasting, "LOOK_SECONDS", 0.05)
        async with running(settings) as server:
            body = {"agent_id": "billing-7", "issuer": "spiffe://example.org", "subject": BILLING}
            context = client_context(folder / "ca.pem")
            async with httpx.AsyncClient(base_url=server.url, verify=context, timeout=60, trust_env=False) as client:
                made = await client.post("/api/access/agents", json=body, headers={"Authorization": f"Bearer {ADMIN}"})
                assert made.status_code == 201, made.text
            yield Served(int(server.url.rpartition(":")[2]), folder, authority)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_a_resumed_session_proves_what_the_first_one_did(served: Served, version: ssl.TLSVersion) -> None:
    def twice() -> None:
        context = served.context(version)
        with served.connect(context) as first:
            assert asked(first) == b"HTTP/1.1 200 OK"
            session = first.session
        with served.connect(context, session) as second:
            assert second.session_reused
            assert asked(second) == b"HTTP/1.1 200 OK"

    await asyncio.to_thread(twice)


async def test_an_authority_taken_away_counts_no_more_for_what_is_open(served: Served) -> None:
    context = served.context()
    opened = await asyncio.to_thread(served.connect, context)
    following = await asyncio.to_thread(served.connect, context)
    assert await asyncio.to_thread(asked, opened) == b"HTTP/1.1 200 OK"
    session = opened.session
    following.sendall(b"GET /api/events/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert (await asyncio.to_thread(following.recv, 65_536)).startswith(b"HTTP/1.1 200 OK")
    (served.folder / "next.pem").write_bytes(pem(Authority("example.org").certificate))
    os.replace(served.folder / "next.pem", served.folder / "bundle.pem")

    async def is_refused() -> bool:
        return await asyncio.to_thread(asked, opened) == b"HTTP/1.1 401 Unauthorized"

    await until(is_refused)
    while await asyncio.to_thread(following.recv, 65_536):
        pass  # until it ends
    resumed = await asyncio.to_thread(served.connect, context, session)
    assert resumed.session_reused
    assert await asyncio.to_thread(asked, resumed) == b"HTTP/1.1 401 Unauthorized"
    for one in (opened, following, resumed):
        one.close()
