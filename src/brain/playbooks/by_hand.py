"""Runs a playbook for a person at the command line, in its own process, with the same records as the server."""

from __future__ import annotations

import asyncio
from contextlib import closing

import msgspec

from brain.charter import Event
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.context import plugin_context
from brain.kit.database_threads import for_reading, for_tasks
from brain.kit.documents import json_in
from brain.kit.outbox import ship_waiting
from brain.playbooks.models import CONSUMER, GOING_ON, RunState
from brain.playbooks.reads import RunRow, read_run
from brain.playbooks.tasks import PlaybookTasks
from brain.settings import CoreSettings
from brain.store import open_store
from brain.stream import EventStream

LEFT = (RunState.WAITING.value, RunState.VERIFYING.value)
"""States in which the server goes on."""
LOOK = 0.05


async def run_by_hand(settings: CoreSettings, name: str, event: bytes, *, dry_run: bool) -> RunRow:
    """The run as it is once it is over, or waits. Raises InvalidInput, NotFound, and Conflict when a limit stops it."""
    given = _event(event)
    async with EventStream.open(settings.stream) as stream:
        with closing(open_store(settings.store_url)) as store, plugin_context(stream, store, settings) as context:
            async with PlaybookTasks.open(context) as tasks:
                known = {one.name: one for one in tasks.playbooks}
                if name not in known:
                    raise NotFound(f"playbook {name!r} is not loaded; `brain playbooks list` names those that are")
                playbook = msgspec.structs.replace(known[name], dry_run=dry_run or known[name].dry_run)
                id = await for_tasks(context.database, tasks.begin, playbook, given)
                if id is None:
                    await ship_waiting(context.database, CONSUMER, stream)
                    raise Conflict(f"playbook {name} was stopped by a limit; `brain playbooks stops` says which")
                working = asyncio.create_task(tasks.work())
                try:
                    row = await for_reading(context.database, read_run, context.database, id)
                    while row.state in GOING_ON and row.state not in LEFT:
                        await asyncio.sleep(LOOK)
                        row = await for_reading(context.database, read_run, context.database, id)
                finally:
                    working.cancel()
                    await asyncio.gather(working, return_exceptions=True)
                await ship_waiting(context.database, CONSUMER, stream)
                return row


def _event(data: bytes) -> Event:
    plain = json_in(data, "event")
    try:
        return Event(**{"source": "operator_service", "payload": {}, **plain})
    except TypeError as error:
        raise InvalidInput(f"event: is no event in JSON: {error}") from error
