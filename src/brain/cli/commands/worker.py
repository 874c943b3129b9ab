"""`brain worker NAME...`: some plug-ins alone, without the HTTP server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import StreamOption, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brain.settings import Settings


def worker(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Of installed plug-ins that consume events.")],
    stream: StreamOption = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help="Where they keep their tables.")] = None,
) -> None:
    """Run the tasks of some plug-ins until SIGINT or SIGTERM. Leave them out of the server's setting `consumers`."""
    from brain.garbage import bound_kept_memory, collect_while_serving
    from brain.logs import configure_logs
    from brain.plugins import check_plugins, check_running
    from brain.settings import former_names, load_settings

    bound_kept_memory()
    renamed = former_names()
    for name in renamed.keys() & set(names):
        print_text(f"plug-in {name} is called {renamed[name]} now", err=True)
    running = list(dict.fromkeys(renamed.get(name, name) for name in names))
    check_plugins()
    check_running(running)
    settings = load_settings(stream=stream, store=stream, database=database)
    configure_logs(settings.log_level, settings.log_format)
    collect_while_serving()
    run(_work(running, settings))


async def _work(names: Sequence[str], settings: Settings) -> None:
    from contextlib import AsyncExitStack, closing

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
                running = [plugins()[name] for name in names]
                await check_owners(context, running)
                async with AsyncExitStack() as opened:
                    components = [await opened.enter_async_context(open_plugin(one, context)) for one in running]
                    loops = [loop for component in components for loop in component.tasks]
                    tasks = [asyncio.create_task(loop()) for loop in [*loops, ReportDelivery(context).run]]
                    log.info("working", plugins=names, stream=without_password(settings.stream))
                    stopped = asyncio.create_task(stop.wait())
                    await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                    for task in (stopped, *tasks):
                        task.cancel()
                    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
