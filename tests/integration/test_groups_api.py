"""`/api/groups` and `/api/dead-letters`, over a real socket and real backends."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from brain.charter import Event
from brain.stream import EventStream
from brain.stream.consumer import DeliveryOptions
from support.server import running_server, without_consumers
from support.waiting import until

BROKEN = b'{"not": "an event"}'
ONCE = DeliveryOptions(max_attempts=2, retry_delay=0.01)


class Handler:
    """Fails while `broken`; `seen` has the numbers of what it took."""

    def __init__(self) -> None:
        self.broken = True
        self.seen: list[object] = []

    async def __call__(self, event: Event) -> None:
        if self.broken:
            raise RuntimeError(f"cannot take {event.payload['number']}")
        self.seen.append(event.payload["number"])


class Served:
    """A server, a client of it, and a handler that runs as group `picky`."""

    def __init__(self, stream: EventStream, client: httpx.AsyncClient, handler: Handler) -> None:
        self.stream = stream
        self.client = client
        self.handler = handler

    async def letters(self, count: int) -> list[dict[str, object]]:
        """The dead letters of `picky`, once there are `count`."""
        found: list[dict[str, object]] = []

        async def there() -> bool:
            found[:] = await self.get("/api/dead-letters", group="picky")
            return len(found) == count

        await until(there)
        return found

    async def get(self, path: str, **parameters: str) -> list[dict[str, object]]:
        answer = await self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, object]] = answer.json()
        return found


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    monkeypatch.chdir(tmp_path)  # where journals for Redis lie: what a test before left in one is shipped anew
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path / 'brain.db'}"}.get(request.param)
    url = url or str(request.getfixturevalue("redis_url"))
    handler = Handler()
    async with running_server(without_consumers(url)) as (running, client):
        stream = running.stream
        running_consumer = asyncio.create_task(stream.consumer("picky", "test.*", handler, ONCE).run())
        try:
            for number in range(3):
                event = Event(type="test.happened", source="test_service", payload={"number": number})
                await stream.publish(event)
            yield Served(stream, client, handler)
        finally:
            running_consumer.cancel()
            await asyncio.gather(running_consumer, return_exceptions=True)


async def test_groups_and_what_they_gave_up_on_are_listed(served: Served) -> None:
    before = time.time() - 600
    letters = await served.letters(3)
    for number, letter in enumerate(letters):
        assert letter["event"]["payload"] == {"number": number}  # type: ignore[index]
        assert letter["data_base64"] is None
        assert letter["attempts"] == 2
        assert letter["error"] == f"RuntimeError: cannot take {number}"
        history = letter["history"]
        assert isinstance(history, list)
        assert [attempt["error"] for attempt in history] == [letter["error"]] * 2
        assert all(before < attempt["at"] < letter["buried_at"] + 0.01 < time.time() + 600 for attempt in history)
    groups = await served.get("/api/groups")
    [group] = [group for group in groups if group["name"] == "picky"]
    assert {name: group[name] for name in ("pattern", "dead", "lag")} == {"pattern": "test.*", "dead": 3, "lag": 0}
    names = [str(group["name"]) for group in groups]
    assert names == sorted(names)
    assert len(await served.get("/api/dead-letters", limit="2")) == 2


async def test_chosen_letters_are_redriven_and_the_others_discarded(served: Served) -> None:
    letters = await served.letters(3)
    served.handler.broken = False
    chosen = {"group": "picky", "positions": [letters[2]["position"], letters[0]["position"]]}
    answer = await served.client.post("/api/dead-letters/redrive", json=chosen)
    assert answer.json() == {"group": "picky", "count": 2}
    await until(lambda: len(served.handler.seen) == 2)
    assert served.handler.seen == [0, 2]
    assert [letter["position"] for letter in await served.letters(1)] == [letters[1]["position"]]
    answer = await served.client.post("/api/dead-letters/discard", json={"group": "picky", "positions": None})
    assert answer.json() == {"group": "picky", "count": 1}
    await served.letters(0)
    assert len((await served.client.get("/api/events", params={"pattern": "test.happened"})).json()["events"]) == 3


async def test_what_is_no_dead_letter_is_refused_before_anything_is_done(served: Served) -> None:
    letters = await served.letters(3)
    mixed = {"group": "picky", "positions": [letters[0]["position"], "999999"]}
    for work in ("redrive", "discard"):
        answer = await served.client.post(f"/api/dead-letters/{work}", json=mixed)
        assert (answer.status_code, "999999" in answer.text) == (404, True)
        answer = await served.client.post(f"/api/dead-letters/{work}", json={"group": "nobody", "positions": None})
        assert (answer.status_code, "nobody" in answer.text) == (404, True)
        for bad in ({"group": "picky"}, {"group": "picky", "positions": []}, {**mixed, "all": True}):
            assert (await served.client.post(f"/api/dead-letters/{work}", json=bad)).status_code == 422
    assert (await served.client.get("/api/dead-letters", params={"group": "nobody"})).status_code == 404
    assert len(await served.letters(3)) == 3


async def test_bytes_that_are_no_event_come_in_base64(served: Served) -> None:
    await served.letters(3)
    backend = served.stream.backend
    # As a producer of another language may: not through publish().
    await served.stream.call(backend.append, "stranger", "", "1", [BROKEN])
    served.stream.changes.notify()
    broken = (await served.letters(4))[-1]
    assert broken["event"] is None
    assert broken["data_base64"] == b64encode(BROKEN).decode()
