"""The parts that plug-ins are opened on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING

from brain.kit.database import default_database, open_database
from brain.plugins import Component, Plugin, PluginContext, plugins

if TYPE_CHECKING:
    from brain.settings import Settings
    from brain.store import Store
    from brain.stream import EventStream


@contextmanager
def plugin_context(stream: EventStream, store: Store, settings: Settings) -> Iterator[PluginContext]:
    """The context over an open stream and store; the database is opened here, and closed at the end.

    Raises InvalidInput for a bad database URL.
    """
    database = open_database(settings.database or default_database(stream.url))
    try:
        yield PluginContext(stream, store, database, settings, plugins())
    finally:
        database.dispose()


@asynccontextmanager
async def database_context(settings: Settings) -> AsyncIterator[PluginContext]:
    """The context for commands that only read the consumers' database: its stream and store are empty.

    Raises InvalidInput for a bad database URL.
    """
    from brain.store import open_store
    from brain.stream import EventStream

    url = settings.database or default_database(settings.stream)
    async with EventStream.open("memory://") as stream:
        with (
            closing(open_store("memory://")) as store,
            plugin_context(stream, store, settings.model_copy(update={"database": url})) as context,
        ):
            yield context


@asynccontextmanager
async def open_plugin(plugin: Plugin, context: PluginContext) -> AsyncIterator[Component]:
    """The plug-in opened on these parts; an empty Component for one that opens nothing.

    Raises InvalidInput when what it names is not there, and what its own opening raises.
    """
    opener = plugin.opener()
    if opener is None:
        yield Component()
        return
    async with opener(context) as component:
        yield component
