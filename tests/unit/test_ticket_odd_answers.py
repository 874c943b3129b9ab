"""Answers that are JSON and nothing that Jira or ServiceNow documents: a connection to look at, and no ticket is lost.

A gateway, a mock or another program answers in the service's place. The connectors, tables and stand-ins are real.
"""

from __future__ import annotations

import contextlib
import random
from typing import Any

import httpx
import pytest

from brain.connectors.sender import Refused, TryLater
from brain.errors import Conflict
from brain.incidents.tasks import REFUSED_AGAIN
from support.sizes import sizes
from support.ticket_world import World, world

SHAPES: list[Any] = [
    *(None, [], {}, "x", 5, True),
    *({"result": odd} for odd in (None, [], {}, "x", [None], [{}], {"state": None})),
    *({"issues": odd} for odd in (None, [None], [{}], [{"id": "1", "key": "A-1"}])),
    *({"fields": odd} for odd in (None, {}, {"status": None}, {"status": "Done"}, {"status": {"name": None}})),
    *({"transitions": odd} for odd in (None, [None], [{}], [{"id": "1"}], [{"id": "1", "name": "x", "to": None}])),
    *({"comments": odd} for odd in (None, [None], [{"body": None}])),
    *({"key": "OPS-7"}, {"errorMessages": "x", "errors": []}, {"error": "x"}, {"accountId": "x"}),
]


class Odd(httpx.AsyncBaseTransport):
    """A network in which something else answers a third of the requests, until it is well."""

    def __init__(self, network: httpx.AsyncBaseTransport, chance: random.Random, statuses: tuple[int, ...]) -> None:
        self.well = False
        self._network, self._chance, self._statuses = network, chance, statuses

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.well or self._chance.random() > 0.3:
            return await self._network.handle_async_request(request)
        return httpx.Response(self._chance.choice(self._statuses), json=self._chance.choice(SHAPES))


async def update(at: World) -> None:
    with contextlib.suppress(Refused, TryLater):
        await at.update()


async def sequence(seed: int) -> None:
    chance = random.Random(seed)
    kind = chance.choice(("jira", "servicenow"))
    statuses = (200, 200, 201, 400) if kind == "jira" else (200, 200, 201, 400, 404)  # 404 of Jira: nobody knows it
    networks: list[Odd] = []

    def odd(network: httpx.AsyncBaseTransport) -> Odd:
        networks.append(Odd(network, chance, statuses))
        return networks[0]

    async with world(kind, odd, again=True) as at:
        notes = []
        for number in range(5):
            notes.append(f"note {number} of {seed}.")
            at.note(notes[-1])
            with contextlib.suppress(Conflict):
                at.move(chance.choice(("IN_PROGRESS", "RESOLVED", "ON_HOLD")))
            await update(at)
            at.clock.advance(30)
        networks[0].well = True
        await at.pass_time(REFUSED_AGAIN + 240)
        (ticket,) = at.tickets.values()
        assert at.mirror["error"] is None, at.mirror
        said = "\n".join([str(ticket), *(ticket["comments"] if kind == "jira" else ticket["work_notes"])])
        assert [note for note in notes if note not in said] == []


@pytest.mark.parametrize("sequences", sizes(6, 300))
async def test_what_is_no_answer_of_the_service(sequences: int) -> None:
    for seed in range(sequences):
        try:
            await sequence(seed)
        except Exception as error:
            raise AssertionError(f"sequence {seed}: {type(error).__name__}: {error}") from error


async def test_a_404_that_is_not_servicenows_ends_no_mirror() -> None:
    networks: list[Odd] = []

    class Proxy(Odd):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.well:
                return await self._network.handle_async_request(request)
            return httpx.Response(404, html="<title>no such backend</title>")

    def proxy(network: httpx.AsyncBaseTransport) -> Odd:
        networks.append(Proxy(network, random.Random(1), ()))
        networks[0].well = True
        return networks[0]

    async with world("servicenow", proxy) as at:
        await at.update()
        networks[0].well = False
        with pytest.raises(TryLater, match="not in its own form; check `url`") as caught:
            await at.update()
        assert caught.value.about_connection
        assert at.mirror["key"] is not None
        networks[0].well = True
        await at.update()
        assert at.mirror["error"] is None
