"""kill -9 of `brain serve` while webhooks come in: what was answered is an event, once, however often it was sent."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import httpx
import pytest

from brain import EventStream
from support.ports import free_port
from support.server import ServeProcess
from support.sizes import sizes
from support.waiting import wait_until
from support.webhook_senders import SECRET, github

SEED = 20261129
SENDERS = 4
DELIVERIES_A_KILL = 60

SETTINGS = f"""
consumers = []
[connectors.inbound.github]
kind = "github"
secret = "{SECRET}"
"""


class Sender(threading.Thread):
    """Sends deliveries one after the other, each until it is answered 202, and each now and then twice."""

    def __init__(self, url: str, numbers: range) -> None:
        super().__init__()
        self.answered: list[int] = []
        self._url = f"{url}/api/connectors/github/webhook"
        self._numbers = numbers

    def run(self) -> None:
        with httpx.Client(trust_env=False, timeout=20) as client:
            for number in self._numbers:
                wait_until(lambda number=number: self._send(client, number), every=0.02)  # type: ignore[misc]
                if number % 7 == 0:
                    wait_until(lambda number=number: self._send(client, number), every=0.02)  # type: ignore[misc]
                self.answered.append(number)

    def _send(self, client: httpx.Client, number: int) -> bool:
        body = f'{{"number": {number}}}'.encode()
        try:
            return client.post(self._url, content=body, headers=github(body, f"d-{number}")).status_code == 202
        except httpx.HTTPError:
            return False


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kills", sizes(1, 20))
async def test_what_was_answered_is_an_event_once(kills: int, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text(SETTINGS)
    port, chance = free_port(), random.Random(SEED)
    each = (kills + 1) * DELIVERIES_A_KILL // SENDERS
    url = f"http://127.0.0.1:{port}"
    senders = [Sender(url, range(number * each, (number + 1) * each)) for number in range(SENDERS)]
    for sender in senders:
        sender.start()

    def answered() -> int:
        return sum(len(sender.answered) for sender in senders)

    for _ in range(kills):
        with ServeProcess(tmp_path, port=port):
            goal = answered() + chance.randrange(5, DELIVERIES_A_KILL)
            wait_until(lambda goal=goal: answered() >= goal)  # type: ignore[misc]
    with ServeProcess(tmp_path, port=port) as server:
        for sender in senders:
            sender.join()
        assert server.stop() == 0
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        found = [event.payload["fields"]["number"] async for event in stream.replay("connector.received")]
    assert sorted(found) == list(range(each * SENDERS))
