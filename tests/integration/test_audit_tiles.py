"""The audit log as tiles over HTTP: whoever reads them all comes to the signed root."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from brain.audit.checkpoint import Checkpoint
from brain.audit.merkle import leaf_hash, root_of
from brain.audit.open import open_projector
from brain.audit.repository import log_verifier
from brain.audit.settings import AuditSettings
from brain.audit.tables import entries
from brain.kit.database import open_database
from brain.settings import Settings
from support.audit import append, records
from support.server import running_server

SIZE = 600
BASE = "/api/audit/tlog"


async def bytes_of(client: httpx.AsyncClient, path: str) -> bytes:
    answer = await client.get(f"{BASE}/{path}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "immutable" in answer.headers["cache-control"]
    return answer.content


async def hashes(client: httpx.AsyncClient, path: str) -> list[bytes]:
    data = await bytes_of(client, f"tile/{path}")
    return [data[start : start + 32] for start in range(0, len(data), 32)]


def split(bundle: bytes) -> list[bytes]:
    found = []
    while bundle:
        end = 2 + int.from_bytes(bundle[:2], "big")
        found.append(bundle[2:end])
        bundle = bundle[end:]
    return found


async def test_the_tiles_lead_to_the_signed_root(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'brain-consumers.db'}")
    append(database, open_projector(database, AuditSettings()), records(0, SIZE))
    key = log_verifier(database)
    async with running_server(Settings(stream=f"sqlite:///{tmp_path / 'brain.db'}", port=0)) as (_, client):
        checkpoint = Checkpoint.open((await client.get(f"{BASE}/checkpoint")).content, key)
        last = checkpoint.size - 512
        assert last >= 88
        leaves = [value for path in ("000", "001", f"002.p/{last}") for value in await hashes(client, f"0/{path}")]
        assert root_of(leaves) == checkpoint.root
        assert await hashes(client, "1/000.p/2") == [root_of(leaves[:256]), root_of(leaves[256:512])]
        for number, path in enumerate(("000", "001", "002.p/5")):
            found = split(await bytes_of(client, f"tile/entries/{path}"))
            assert [leaf_hash(data) for data in found] == leaves[256 * number : 256 * number + len(found)]
            assert len(found) == (256, 256, 5)[number]

        with database.begin() as connection:
            connection.execute(entries.update().where(entries.c.idx == 300).values(payload=None))
        gone = await client.get(f"{BASE}/tile/entries/001")
        assert (gone.status_code, "entry 300" in gone.json()["detail"]) == (410, True)
        assert await hashes(client, "0/001") == leaves[256:512]
        with database.begin() as connection:
            connection.execute(entries.update().where(entries.c.idx == 300).values(payload=bytes(65_536)))
        assert (await client.get(f"{BASE}/tile/entries/001")).status_code == 410

        for path, status in (
            ("0/003", 404),
            ("0/002", 404),
            ("0/002.p/255", 404),
            ("2/000.p/1", 404),
            ("0/x001/234", 404),
            ("8/000", 422),
            ("0/1", 422),
            ("0/000.p/256", 422),
            ("0/000.p/0", 422),
            ("0/x000/001", 422),
            ("entries/../../key", 404),
            ("entries/abc", 422),
        ):
            answer = await client.get(f"{BASE}/tile/{path}")
            assert answer.status_code == status, (path, answer.text)
    database.dispose()


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000", "tile/entries/000"])
async def test_a_log_without_entries_has_none(tmp_path: Path, path: str) -> None:
    settings = Settings(stream=f"sqlite:///{tmp_path / 'brain.db'}", port=0, consumers=())
    async with running_server(settings) as (_, client):
        assert (await client.get(f"{BASE}/{path}")).status_code == 404
