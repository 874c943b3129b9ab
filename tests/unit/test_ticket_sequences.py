"""Ticket systems that say no, half and late in every documented way, and then yes: the ticket is there, once and whole.

The connectors, the tables and the stand-ins are real; only the network between them is played.
"""

from __future__ import annotations

import random

import httpx
import pytest

from brain.demo.stand_ins.jira import LOGIN_REASON
from brain.errors import Conflict
from brain.incidents.tasks import REFUSED_AGAIN
from support.sizes import sizes
from support.ticket_world import World, world

HTML = {"text": "<!doctype html><title>Your instance is hibernating</title>", "headers": {"Content-Type": "text/html"}}
NO = {
    "jira": [
        *(httpx.Response(status, json={"errorMessages": ["no"], "errors": {}}) for status in (400, 403, 409, 413, 422)),
        httpx.Response(401, text="Client must be authenticated to access this resource."),
        httpx.Response(404, headers={LOGIN_REASON: "AUTHENTICATED_FAILED"}, json={"errorMessages": ["not found"]}),
        httpx.Response(403, headers={LOGIN_REASON: "AUTHENTICATION_DENIED"}, text="CAPTCHA_CHALLENGE"),
        httpx.Response(200, headers={LOGIN_REASON: "AUTHENTICATED_FAILED"}, json={"issues": [], "isLast": True}),
    ],
    "servicenow": [
        *(httpx.Response(status, json={"error": {"message": "no", "detail": "x"}}) for status in (400, 403, 405, 409)),
        httpx.Response(401, json={"error": {"message": "User Not Authenticated", "detail": "x"}, "status": "failure"}),
    ],
}
BOTH = [
    *(httpx.Response(status) for status in (408, 429, 500, 502, 503, 504)),
    httpx.Response(429, headers={"Retry-After": "7"}),
    httpx.Response(503, headers={"Retry-After": "Tue, 19 Dec 2023 16:00:00 GMT"}),
    httpx.Response(200, **HTML),
    httpx.Response(302, headers={"Location": "https://elsewhere/login"}),
]
SHOWN = {
    "jira": {"NEW": "To Do", "IN_PROGRESS": "In Progress", "RESOLVED": "Done"},
    "servicenow": {"NEW": "1", "IN_PROGRESS": "2", "RESOLVED": "6"},
}


class Trouble(httpx.AsyncBaseTransport):
    """A network on which half of the requests fare badly, until it is well."""

    def __init__(self, network: httpx.AsyncBaseTransport, chance: random.Random, kind: str) -> None:
        self.well = False
        self._network = network
        self._chance = chance
        self._no = [*NO[kind], *BOTH]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        how = "yes" if self.well else self._chance.choices(("yes", "no", "half", "away"), (6, 3, 2, 1))[0]
        if how == "away":
            raise httpx.ConnectError("away")
        if how == "no":
            said = self._chance.choice(self._no)
            return httpx.Response(said.status_code, headers=dict(said.headers), content=said.content)
        answer = await self._network.handle_async_request(request)
        if how == "half":  # it did what was asked, and nobody hears of it
            raise httpx.ReadTimeout("late")
        return answer


async def sequence(seed: int) -> None:
    chance = random.Random(seed)
    kind = chance.choice(("jira", "servicenow"))
    networks: list[Trouble] = []

    def trouble(network: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        networks.append(Trouble(network, chance, kind))
        return networks[0]

    settings = {"priorities": {"HIGH": "High", "CRITICAL": "Highest"}} if kind == "jira" else {}
    async with world(kind, trouble, again=True, **settings) as at:
        notes = []
        for number in range(chance.randint(1, 6)):
            what = chance.random()
            if what < 0.5:
                notes.append(f"note {number} of {seed}.")
                at.note(notes[-1])
            elif what < 0.6:
                at.worsen()
            else:
                try:
                    at.move(chance.choice(("IN_PROGRESS", "RESOLVED")))
                except Conflict:
                    continue
            await at.pass_time(chance.choice((0, 10, 30, 200)))
        states = at.document["state"]
        networks[0].well = True
        await at.pass_time(REFUSED_AGAIN + 240)
        assert at.document["state"] == states, ("nobody moved it", at.document["state"], states)
        check(at, notes)
        before = str(at.mirror), str(at.tickets)
        await at.pass_time(REFUSED_AGAIN + 60)
        assert (str(at.mirror), str(at.tickets)) == before


def check(at: World, notes: list[str]) -> None:
    """One ticket, which shows everything once; no outage is open, and each was said."""
    (ticket,) = at.tickets.values()
    assert at.mirror["error"] is None, at.mirror
    assert (ticket.get("status") or ticket["state"]) == SHOWN[at.kind][at.document["state"]]
    description = str(ticket.get("description") or ticket["fields"])
    said = "\n".join([description, *(ticket["comments"] if at.kind == "jira" else ticket["work_notes"])])
    counts = {note: said.count(note) for note in notes if said.count(note) != 1}
    assert not counts, (counts, said)
    if at.kind == "jira":
        wanted = {"HIGH": "High", "CRITICAL": "Highest"}[at.document["severity"]]
        assert ticket["fields"]["priority"] == {"name": wanted}
    outages = [type for type in at.events() if type.startswith("ticket.")]
    assert outages == ["ticket.connection_lost", "ticket.connection_restored"] * (len(outages) // 2), outages


@pytest.mark.parametrize("sequences", sizes(8, 1000))
@pytest.mark.timeout(3600)
async def test_whatever_ticket_systems_say(sequences: int) -> None:
    for seed in range(sequences):
        try:
            await sequence(seed)
        except AssertionError as error:
            raise AssertionError(f"sequence {seed}: {error}") from error
