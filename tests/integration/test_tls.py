"""The server over TLS: certificates that change while it runs, pairs that do not fit, and the commands that ask it."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from brain.access.x509_svid import Bundles
from brain.errors import InvalidInput
from brain.server import tls
from brain.server.tls import ServerTls, server_tls
from brain.settings import Settings
from brain.telemetry.recording import Recorder
from support.certificates import make_certificates
from support.command import Command
from support.ports import free_port
from support.server import ServeThread, running_server, without_consumers
from support.sizes import sizes
from support.waiting import until


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    """A new certificate and its key, for 127.0.0.1, below the folder."""
    place = folder / name
    place.mkdir()
    make_certificates(place)
    return place / "server.pem", place / "server.key"


def put(found: tuple[Path, Path], folder: Path) -> None:
    """Have the server's files be these; each is replaced at once, one after the other, as certbot does."""
    for source, name in zip(found, ("tls.pem", "tls.key"), strict=True):
        (folder / "next").write_bytes(source.read_bytes())
        os.replace(folder / "next", folder / name)


async def shown(port: int) -> bytes:
    """Shake hands anew, ask, and return the certificate that the server showed. Raises when either fails."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    return found


def der(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


@pytest.mark.parametrize("reloads", sizes(3, 20))
async def test_certificates_change_under_load_and_no_handshake_fails(
    reloads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.01)
    put(pair(tmp_path, "first"), tmp_path)
    settings = without_consumers(tls_certificate=str(tmp_path / "tls.pem"), tls_key=str(tmp_path / "tls.key"))
    shaken = 0
    async with running_server(settings) as (server, _):
        assert server.url.startswith("https://")
        port = int(server.url.rpartition(":")[2])

        async def load() -> None:
            nonlocal shaken
            while True:
                await shown(port)
                shaken += 1

        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(load()) for _ in range(3)]
            for number in range(reloads):
                new = pair(tmp_path, f"new{number}")
                before = shaken
                put(new, tmp_path)

                async def is_there(new: tuple[Path, Path] = new) -> bool:
                    return await shown(port) == der(new[0])

                await until(is_there)
                await until(lambda before=before: shaken > before + 2)  # type: ignore[misc]
            (tmp_path / "tls.key").write_bytes(pair(tmp_path, "other")[1].read_bytes())  # not this one's
            before = shaken
            await until(lambda: shaken > before + 10)
            assert await shown(port) == der(new[0]), "the last good pair goes on"
            for client in clients:
                client.cancel()
    assert shaken > 3 * reloads


async def test_a_pair_that_does_not_fit_is_told_once_and_taken_when_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = pair(tmp_path, "first"), pair(tmp_path, "second")
    put(first, tmp_path)
    certificate = ServerTls(tmp_path / "tls.pem", tmp_path / "tls.key", Bundles(()))
    assert not certificate.refresh()
    put((second[0], first[1]), tmp_path)
    assert [certificate.refresh() for _ in range(3)] == [False] * 3
    told = [record for record in caplog.records if "not loaded;" in record.getMessage()]
    assert len(told) == 1
    put(second, tmp_path)
    assert certificate.refresh()
    (tmp_path / "tls.pem").unlink()
    assert not certificate.refresh()
    assert "cannot be read" in caplog.text
    put(second, tmp_path)
    assert certificate.refresh()


def test_what_cannot_be_served_is_refused_at_the_start(tmp_path: Path) -> None:
    first, second = pair(tmp_path, "first"), pair(tmp_path, "second")
    with pytest.raises(InvalidInput, match="are no certificate and its key"):
        ServerTls(first[0], second[1], Bundles(()))
    with pytest.raises(InvalidInput, match=r"nowhere\.pem cannot be read"):
        ServerTls(tmp_path / "nowhere.pem", second[1], Bundles(()))
    with pytest.raises(InvalidInput, match="tls_key: needs the server's own certificate"):
        server_tls(without_consumers(tls_key="a.pem"))


def test_the_doctor_and_a_source_ask_by_tls(tmp_path: Path) -> None:
    recording = tmp_path / "run.mcap"
    with Recorder(recording) as recorder:
        recorder.add("robot-7", {"seq": 1, "t": None, "values": {"battery_percentage": 78.0}})
    port, (certificate, key) = free_port(), pair(tmp_path, "pair")
    (tmp_path / "brain.toml").write_text(f'tls_certificate = "{certificate}"\ntls_key = "{key}"\n')
    served = ServeThread(
        Settings(
            stream=f"sqlite:///{tmp_path}/brain.db", port=port, consumers=(),
            tls_certificate=str(certificate), tls_key=str(key),
        )
    )  # fmt: skip
    served.start()
    try:
        ran = Command(tmp_path, port)("doctor")
        sent = Command(tmp_path, port)("telemetry", "replay", str(recording))
    finally:
        served.stop()
    assert f"https://127.0.0.1:{port} is ready" in ran.out
    assert "1 samples sent, 1 stored" in sent.out
