"""The audit log over HTTP, on a whole server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from brain import EventStream
from brain.audit.checkpoint import Checkpoint
from brain.audit.note import Verifier
from brain.audit.proofs import check
from brain.settings import Settings
from support.audit import denial
from support.server import running_server
from support.waiting import until


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    return Settings(stream=f"sqlite:///{tmp_path / 'brain.db'}", port=0)


async def publish(url: str, count: int) -> None:
    async with EventStream.open(url) as stream:
        for number in range(count):
            await stream.publish(denial(number))


async def entries(client: httpx.AsyncClient, **parameters: Any) -> list[Any]:
    answer = await client.get("/api/audit/entries", params=parameters)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()
    return found


async def test_the_log_over_http(chosen: Settings, tmp_path: Path) -> None:
    await publish(chosen.stream, 30)
    async with running_server(chosen) as (_, client):

        async def all_logged() -> bool:
            return bool((await client.get("/api/audit")).json()["size"] >= 30)

        await until(all_logged)
        state = (await client.get("/api/audit")).json()
        key = Verifier.parse(state["public_key"])
        assert state["origin"] == key.name
        assert state["oldest_kept_index"] == 0
        assert state["first_at"] <= state["last_at"]
        note = (await client.get("/api/audit/checkpoint")).text
        assert Checkpoint.open(note.encode(), key).size >= 30

        denials = await entries(client, pattern="policy.*", limit=5)
        assert [entry["event_id"] for entry in denials] == [denial(n).id for n in range(29, 24, -1)]
        assert denials[0]["event"]["payload"] == denial(29).payload
        older = await entries(client, pattern="policy.*", limit=2, before=denials[-1]["index"])
        assert [entry["event_id"] for entry in older] == [denial(24).id, denial(23).id]
        assert len(await entries(client, agent="agent-3")) == 6
        assert len(await entries(client, correlation_id="story-1", text="db/12")) == 1
        assert await entries(client, threat="thr_1") == []

        answer = await client.get(f"/api/audit/proof/{denial(7).id}")
        assert answer.headers["content-disposition"].startswith("attachment")
        assert check(answer.content, key).event == denial(7).encode()
        assert (await client.get("/api/audit/proof/evt_policy_1_000000000000")).status_code == 404

        report = (await client.post("/api/audit/verify", json={})).json()
        assert (report["ok"], report["first_bad_index"], report["sealed"]) == (True, None, True)
        report = (await client.post("/api/audit/verify", json={"checkpoint": note})).json()
        assert report["ok"]
        assert report["verified_from"] >= 30
        for body in ({"checkpoint": "nonsense"}, {"unknown": 1}):
            assert (await client.post("/api/audit/verify", json=body)).status_code == 422
    assert (tmp_path / "brain-audit.key").stat().st_mode & 0o777 == 0o600


async def test_before_the_log_is_begun(chosen: Settings) -> None:
    async with running_server(chosen.model_copy(update={"consumers": ()})) as (_, client):
        state = (await client.get("/api/audit")).json()
        assert (state["origin"], state["size"], state["checkpoint"]) == (None, 0, None)
        assert (await client.get("/api/audit/checkpoint")).status_code == 404
        assert (await client.post("/api/audit/verify", json={})).status_code == 409
        assert await entries(client) == []
