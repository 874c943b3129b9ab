"""`brain demo`: a whole server, a simulated fleet on its public API, stand-ins for the outside services, a count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import httpx

from brain.charter import Event
from brain.demo.fleet import Api, Fleet, Pace
from brain.demo.outcome import DemoOutcome, look_back
from brain.demo.services import with_stand_ins
from brain.demo.stand_ins import StandIns
from brain.demo.tally import Tally
from brain.logs import Log
from brain.server.running import running, stop_signals
from brain.settings import Settings
from brain.stream import EventStream

log: Log = Log("brain.demo")

CATCH_UP_SECONDS = 10
"""How long the subscriber may take to see what the fleet did last."""

_TICKETS_SINCE = 1_767_225_600
"""Tickets are numbered by the seconds since 2026: a later demo in the same folder must not give a number again."""

_ANSWER_SECONDS = 600
"""How long an answer may take. To verify the audit log of a demo that ran for a day takes minutes."""


async def run_demo(
    settings: Settings, *, seconds: float | None, seed: int, any_port: bool, say: Callable[[str], None]
) -> tuple[Tally, DemoOutcome]:
    """Run the demo for `seconds`, or until SIGINT or SIGTERM; what the subscriber saw and the consumers made.

    `any_port` takes a free port when the settings' one is taken. Raises DemoFailed when the API answers with an error.
    """
    stand_ins = StandIns(first=max(1, int(time.time()) - _TICKETS_SINCE))
    with stop_signals() as stop:
        async with (
            stand_ins.running() as outside,
            running(with_stand_ins(settings, outside), any_port=any_port) as server,
        ):
            say(f"BRAiN EventStream runs at {server.url}")
            say(f"Stand-ins for PagerDuty, Slack, Jira and ServiceNow, to look at: {outside}")
            tally = Tally()
            watching = asyncio.create_task(_watch(server.stream.subscribe("*"), tally))
            pace = Pace(seed)
            key = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"} if settings.api_key else {}
            try:
                async with api_client(server.url, key) as client:
                    api = Api(client)
                    fleet = Fleet(api, pace, say, run=f"{int(time.time()):x}")
                    await fleet.set_up()
                    ending = asyncio.create_task(_end_after(pace, stop, seconds))
                    try:
                        await fleet.live()
                    finally:
                        ending.cancel()
                    outcome = await look_back(api, stand_ins, CATCH_UP_SECONDS)
                    await _caught_up(server.stream, tally)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            return tally, outcome


def api_client(url: str, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """A client that opens a connection for each request.

    A connection that is kept may be closed by the server while a request is on its way, and such a request cannot be
    sent again safely: it may have been carried out.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=_ANSWER_SECONDS, trust_env=False, limits=limits)


async def _watch(events: AsyncGenerator[Event, None], tally: Tally) -> None:
    async with aclosing(events):
        async for event in events:
            tally.add(event)


async def _end_after(pace: Pace, stop: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
    pace.end()


async def _caught_up(stream: EventStream, tally: Tally) -> None:
    """Wait until the subscriber has seen the newest event there is."""
    try:
        async with asyncio.timeout(CATCH_UP_SECONDS):
            while True:
                tally.changed.clear()
                all_stored = not stream.stats()["backlog"]  # asked first: what is stored later is newer than `newest`
                newest = await stream.read(newest_first=True, limit=1)
                if all_stored and newest and newest[0].event.id == tally.last_id:
                    return
                await tally.changed.wait()
    except TimeoutError:
        log.warning("the subscriber lags behind the stream", seconds=CATCH_UP_SECONDS)
