"""`brain serve`: the server, until a signal stops it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import StreamOption, run

if TYPE_CHECKING:
    from brain.settings import Settings


def serve(
    stream: StreamOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback needs BRAIN_API_KEY.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
) -> None:
    """Serve the HTTP API, the page and the consumers until SIGINT or SIGTERM."""
    from brain.garbage import bound_kept_memory, gc_paused

    bound_kept_memory()
    with ExitStack() as starting:
        starting.enter_context(gc_paused())  # what a start makes stays: to look for garbage in it costs a fifth of it
        from brain.logs import configure_logs
        from brain.server.running import new_event_loop
        from brain.settings import load_settings

        settings = load_settings(stream=stream, store=stream, host=host, port=port)
        configure_logs(settings.log_level, settings.log_format)
        run(_serve(settings, starting), new_event_loop)


async def _serve(settings: Settings, starting: ExitStack) -> None:
    """`starting` is closed when the server listens."""
    from brain.garbage import collect_while_serving
    from brain.logs import Log
    from brain.server.running import running, stop_signals
    from brain.settings import without_password

    log = Log("brain.serve")
    with stop_signals() as stop:
        async with running(settings) as server:
            log.info(
                "listening",
                url=server.url,
                stream=without_password(settings.stream),
                store=without_password(settings.store_url),
                key_of_settings="needed" if settings.api_key else "not set",
            )
            starting.close()
            collect_while_serving()
            await asyncio.wait({asyncio.ensure_future(stop.wait()), server.ended}, return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
