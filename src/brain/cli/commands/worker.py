"""`brain worker NAME`: one plug-in alone, without the HTTP server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import StreamOption, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.settings import Settings


def worker(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of an installed plug-in that consumes events.")],
    stream: StreamOption = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help="Where it keeps its tables.")] = None,
) -> None:
    """Run the tasks of one plug-in until SIGINT or SIGTERM. Leave it out of the server's setting `consumers`."""
    from brain.garbage import bound_kept_memory, collect_while_serving
    from brain.logs import configure_logs
    from brain.plugins import check_plugins, check_running
    from brain.settings import former_names, load_settings

    bound_kept_memory()
    if name in (renamed := former_names()):
        print_text(f"plug-in {name} is called {renamed[name]} now", err=True)
        name = renamed[name]
    check_plugins()
    check_running([name])
    settings = load_settings(stream=stream, store=stream, database=database)
    configure_logs(settings.log_level, settings.log_format)
    collect_while_serving()
    run(_work(name, settings))


async def _work(name: str, settings: Settings) -> None:
    from contextlib import closing

    from brain.kit.context import check_owners, open_plugin, plugin_context
    from brain.kit.outbox import ReportDelivery
    from brain.logs import Log
    from brain.plugins import plugins
    from brain.server.running import stop_signals
    from brain.settings import without_password
    from brain.store import open_store
    from brain.stream import EventStream

    log = Log("brain.worker")
    with stop_signals() as stop:
        async with EventStream.open(settings.stream) as stream:
            with closing(open_store(settings.store_url)) as store, plugin_context(stream, store, settings) as context:
                await check_owners(context, [plugins()[name]])
                async with open_plugin(plugins()[name], context) as component:
                    loops = [*component.tasks, ReportDelivery(context).run]
                    tasks = [asyncio.create_task(loop()) for loop in loops]
                    log.info("working", plugin=name, stream=without_password(settings.stream))
                    stopped = asyncio.create_task(stop.wait())
                    await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                    for task in (stopped, *tasks):
                        task.cancel()
                    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
