"""A private authority's certificates that Python 3.13 refuses: each connection says what they lack and what to do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brain.connectors.email import Email, EmailSettings, Mail
from brain.connectors.sender import Request, RetryPolicy, Sender, TryLater
from brain.errors import Unavailable
from brain.store import open_store
from support.certificates import make_certificates

DEMANDED = r"(Missing (Authority|Subject) Key Identifier|CA cert does not include key usage extension)"
REMEDY = rf"{DEMANDED}.*, which Python 3.13 and newer demand.* make new certificates for the authority"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Certificates without identifiers, and contexts as Python 3.13 makes them."""
    make_certificates(tmp_path, strict=False)
    make = ssl.create_default_context

    def strict(purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH, **more: str) -> ssl.SSLContext:
        context = make(purpose, **more)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    return tmp_path


@pytest.fixture
async def port(folder: Path) -> AsyncIterator[int]:
    """A server that does the handshake, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_over_http(folder: Path, port: int) -> None:
    tls = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    async with Sender(RetryPolicy(attempts=1), tls=tls) as sender:
        with pytest.raises(TryLater, match=f"the service does not answer: its certificate is not trusted: {REMEDY}"):
            await sender.send("the service", Request("GET", f"https://127.0.0.1:{port}/secret-token"))


async def test_by_mail(folder: Path, port: int) -> None:
    settings = EmailSettings(
        kind="email",
        host="127.0.0.1",
        port=port,
        security="tls",
        sender="brain@example.org",
        to=["soc@example.org"],
        ca_file=str(folder / "ca.pem"),
    )
    mail = Mail(to=["soc@example.org"], subject="s", text="t", dedup="d", thread=None)
    with pytest.raises(TryLater, match=f"does not accept the message: its certificate is not trusted: {REMEDY}"):
        await Email(settings, Sender(), lambda: 1_703_001_234.0).deliver(mail)


async def test_on_redis(folder: Path, port: int) -> None:
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={folder}/ca.pem"
    with pytest.raises(Unavailable, match=f"has a certificate that is not trusted: .*{REMEDY}"):
        await asyncio.to_thread(lambda: open_store(url).mark("x"))


async def test_an_unknown_authority_has_no_such_remedy(folder: Path, port: int, tmp_path: Path) -> None:
    async with Sender(RetryPolicy(attempts=1), tls=ssl.create_default_context()) as sender:
        with pytest.raises(TryLater, match="its certificate is not trusted") as raised:
            await sender.send("the service", Request("GET", f"https://127.0.0.1:{port}/"))
    assert "3.13" not in str(raised.value)
