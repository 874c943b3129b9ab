"""`brain worker NAME`: one consumer alone, without the HTTP server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from brain.cli.common import StreamOption, run

if TYPE_CHECKING:
    from brain.settings import Settings


def worker(
    name: Annotated[str, typer.Argument(metavar="NAME", help="audit, metrics, soc, incidents, or an installed one.")],
    stream: StreamOption = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help="Where the consumer keeps its tables.")] = None,
) -> None:
    """Run one consumer until SIGINT or SIGTERM, elsewhere or beside a server that leaves it out of `consumers`."""
    from brain.consumers import check_consumers
    from brain.logs import configure_logs
    from brain.settings import load_settings

    check_consumers([name])
    settings = load_settings(stream=stream, store=stream, database=database)
    configure_logs(settings.log_level, settings.log_format)
    run(_work(name, settings))


async def _work(name: str, settings: Settings) -> None:
    from contextlib import closing

    from brain.consumers import open_consumer, open_house
    from brain.logs import Log
    from brain.settings import without_password
    from brain.store import open_store
    from brain.stream import EventStream
    from brain.web.running import stop_signals

    log = Log("brain.worker")
    with stop_signals() as stop:
        async with EventStream.open(settings.stream) as stream:
            with closing(open_store(settings.store_url)) as store, open_house(stream, store, settings) as house:
                async with open_consumer(name, house) as consumer:
                    tasks = [asyncio.create_task(work()) for work in consumer.work]
                    log.info("working", consumer=name, stream=without_password(settings.stream))
                    stopped = asyncio.create_task(stop.wait())
                    await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                    for task in (stopped, *tasks):
                        task.cancel()
                    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
