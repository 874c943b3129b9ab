"""A client that sends its requests again, with their keys, to a server that is killed at any moment: created once each.

By default a few kills; `make test-long` makes 200.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain import Event
from brain.store import Store, open_store
from brain.stream.backends import open_backend
from brain.stream.event_outbox import outbox_state
from brain.stream.query import EventQuery, scan
from support.processes import kill, spawn
from support.served_worker import serve
from support.sizes import sizes
from support.waiting import until

NOTES = "incident-with-notes"
BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "threats": lambda key: {"type": "scan", "source": key, "severity": "LOW"},
    "immune/events": lambda key: {"severity": "WARNING", "kind": "ERROR_SPIKE", "module": key, "message": "errors"},
    "policy/rules": lambda key: {"name": key, "effect": "DENY", "conditions": [], "everyone": True},
    "policy/containments": lambda key: {"agent_id": key, "ttl": 86_400, "reason": "looks odd"},
    "silences": lambda key: {"matchers": [f"source={key}"], "ends_at": 9e10, "by": "ann", "reason": key},
    "incidents": lambda key: {"title": key},
    "notes": lambda key: {"text": key},
}


class Client:
    """Sends each request with a key of its own, again and again until it is answered; a few at a time, in order."""

    def __init__(self) -> None:
        self.is_up = asyncio.Event()
        self._at_once = asyncio.Semaphore(8)
        self.url = ""
        self.noted = ""
        self.sent_again = 0
        self.answered = 0
        self._http = httpx.AsyncClient(timeout=30, trust_env=False)

    async def create(self, kind: str, key: str) -> Any:
        async with self._at_once:
            return await self._created(kind, key)

    async def _created(self, kind: str, key: str) -> Any:
        path = f"incidents/{self.noted}/notes" if kind == "notes" else kind
        while True:
            await self.is_up.wait()
            try:
                answer = await self._http.post(
                    f"{self.url}/api/{path}", json=BODIES[kind](key), headers={"Idempotency-Key": f"{kind}/{key}"}
                )
            except httpx.TransportError:
                self.sent_again += 1
                await asyncio.sleep(0.02)
                continue
            if answer.status_code == 201:
                self.answered += 1
                return answer.json()
            assert "Retry-After" in answer.headers, (answer.status_code, answer.text)
            await asyncio.sleep(0.1)


async def served(url: str, client: Client) -> BaseProcess:
    ours, theirs = multiprocessing.Pipe()
    process = spawn(serve, url, theirs)
    await until(ours.poll)
    client.url = ours.recv()
    client.is_up.set()
    return process


async def create_and_kill(url: str, kills: int, chance: random.Random) -> tuple[Client, set[str], BaseProcess]:
    """All that was asked for is there when this returns; and the last server, which goes on."""
    client, keys = Client(), set()
    server = await served(url, client)
    client.noted = (await client.create("incidents", NOTES))["id"]
    async with asyncio.TaskGroup() as asked:
        for number in range(kills):
            keys.add(key := f"k{number:03d}")
            for kind in BODIES:
                asked.create_task(client.create(kind, key))
            goal = client.answered + chance.randrange(len(BODIES))  # at least one is not answered yet
            await until(lambda goal=goal: client.answered >= goal)  # type: ignore[misc]
            client.is_up.clear()
            await asyncio.to_thread(kill, server)
            server = await served(url, client)
    return client, keys, server


def created(event: Event) -> Iterator[tuple[str, str]]:
    """The kind and the key of what the event says was created."""
    payload = event.payload
    match event.type:
        case "threat.detected":
            yield "threats", payload["source"]
        case "immune.event_published":
            yield "immune/events", payload["module"]
        case "policy.rule_created" | "policy.rule_updated":
            contained = payload["rule"]["metadata"].get("agent_id")
            yield ("policy/containments", contained) if contained else ("policy/rules", payload["rule_name"])
        case "alert.silence_added":
            yield "silences", payload["reason"]
        case "incident.opened" if payload["title"] != NOTES:
            yield "incidents", payload["title"]
        case "incident.updated" if "note" in payload["changes"]:
            yield "notes", payload["changes"]["note"]["new"]


def announced(url: str) -> Counter[tuple[str, str]]:
    """What the events say."""
    with closing(open_backend(url)) as backend:
        return Counter(one for stored in scan(backend, EventQuery()) for one in created(stored.event))


async def found(client: Client) -> Counter[tuple[str, str]]:
    """What there is, by kind and key."""
    names = {
        "threats": "source",
        "immune/events": "module",
        "policy/rules": "name",
        "silences": "reason",
        "incidents": "title",
    }
    there: Counter[tuple[str, str]] = Counter()
    async with httpx.AsyncClient(base_url=f"{client.url}/api/", timeout=60, trust_env=False) as http:
        for kind, name in names.items():
            limit = {} if kind in ("policy/rules", "silences") else {"limit": 1000}
            listed = (await http.get(kind, params=limit)).json()
            there.update((kind, one[name]) for one in listed if "agent_id" not in one.get("metadata", {}))
        contained = (await http.get("policy/containments")).json()
        there.update(("policy/containments", one["metadata"]["agent_id"]) for one in contained)
        noted = (await http.get(f"incidents/{client.noted}")).json()
        there.update(("notes", one["text"]) for one in noted["timeline"] if one["kind"] == "note")
    del there["incidents", NOTES]
    return there


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", sizes(2, 200))
async def test_everything_is_created_once(kills: int, tmp_path: Path, capsys: Any) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    client, keys, server = await create_and_kill(url, kills, random.Random(kills))
    wanted = Counter({(kind, key): 1 for kind in BODIES for key in keys})
    with closing(open_store(url)) as store:
        try:
            await until(lambda: all_told(url, store, wanted))
        except TimeoutError:
            missing = wanted.keys() - announced(url).keys()
            pytest.fail(f"without an event: {missing}; waiting: {outbox_state(store)}")
    assert await found(client) == wanted
    await asyncio.to_thread(kill, server)
    assert announced(url) == wanted
    with capsys.disabled():
        again = f"sent again {client.sent_again} times"
        print(f"\n{kills} kills, {len(wanted)} requests, {again}: each created once, its event once")


async def all_told(url: str, store: Store, wanted: Counter[tuple[str, str]]) -> bool:
    told = await asyncio.to_thread(announced, url)
    return outbox_state(store).waiting == 0 and told.keys() >= wanted.keys()
