"""Opens plug-ins, and the parts that they are opened on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from brain.errors import InvalidInput, Unavailable
from brain.kit.database import database_url, default_database, open_database
from brain.kit.database_identity import check_groups, release_groups
from brain.logs import Log, include_structlog
from brain.plugins import Component, Plugin, PluginContext, plugins
from brain.store.deletion_clock import deletion_clock
from brain.stream.announcer import announcer_for
from brain.stream.threads import run_alone

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.settings import Settings
    from brain.store import Store
    from brain.stream import EventStream

log: Log = Log("brain.kit")

CHECK_SECONDS = 3.0
"""How long the start waits for a database that does not answer."""


@contextmanager
def plugin_context(stream: EventStream, store: Store, settings: Settings) -> Iterator[PluginContext]:
    """The context over an open stream and store; the database is opened here, and closed at the end.

    Raises InvalidInput for a bad database URL.
    """
    url = settings.database or default_database(stream.url)
    database = open_database(url)
    deletion_clock(store, lambda: stream.backend.newest_at())
    try:
        announcer_for(stream, store)  # from now on, so that what ended processes left is shipped without a change here
        yield PluginContext(stream, store, database, settings, plugins())
    finally:
        if url.startswith("memory:") and not stream.url.startswith("memory:"):
            _release(stream, database)
        database.dispose()


def _release(stream: EventStream, database: Engine) -> None:
    try:
        release_groups(stream.backend, database)
    except Unavailable as error:
        log.warning("the groups of a database in memory were not released; see `brain groups adopt`", error=str(error))


async def check_owners(context: PluginContext, running: Iterable[Plugin]) -> None:
    """Raises OwnedElsewhere when the group of one of these plug-ins is kept in another database.

    A database or stream that does not answer is waited for by the projections, which look once more.
    """
    groups = {plugin.group for plugin in running if plugin.runs}
    if not groups:
        return
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await run_alone(check_groups, context.stream.backend, context.database, groups)
    except (Unavailable, TimeoutError) as error:
        log.warning("whose the groups are is not checked yet: a part does not answer", error=str(error))


@contextmanager
def database_context(settings: Settings) -> Iterator[PluginContext]:
    """The context for a command that needs the consumers' database alone: stream and store are not opened.

    Whatever uses them raises Unavailable. Raises InvalidInput for a bad database URL.
    """
    stream, store = cast("EventStream", _NotOpened("stream")), cast("Store", _NotOpened("store"))
    database = database_url(settings)
    with plugin_context(stream, store, settings.model_copy(update={"database": database})) as context:
        yield context


class _NotOpened:
    """Takes the place of the stream or the store where a command does not open it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        raise Unavailable(f"{self._name}: this command does not open the {self._name}, and cannot use {attribute}")


@asynccontextmanager
async def open_plugin(plugin: Plugin, context: PluginContext) -> AsyncIterator[Component]:
    """The plug-in opened on these parts; an empty Component for one that opens nothing.

    Raises InvalidInput when its `open` cannot be imported, or gives something else, and whatever its opening raises.
    """
    opener = plugin.opener()
    include_structlog()
    if opener is None:
        yield Component()
        return
    async with AsyncExitStack() as opened:
        where = f"plug-in {plugin.name}: {plugin.open}"
        try:
            opening = opener(context)
            if not isinstance(opening, AbstractAsyncContextManager):
                raise InvalidInput(f"{where} gives {opening!r}; put @asynccontextmanager above it")
            component = await opened.enter_async_context(opening)
            if not isinstance(component, Component):
                raise InvalidInput(f"{where} yields {component!r}; yield a brain.plugins.Component")
            for fault in component.misshapen():
                raise InvalidInput(f"{where} yields a Component whose {fault}")
        except Exception as error:
            error.add_note(f"plug-in {plugin.name} was being opened by {plugin.open}")
            raise
        yield component
