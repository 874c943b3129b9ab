"""Opens plug-ins, and the parts that they are opened on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from brain.errors import Unavailable
from brain.kit.database import default_database, open_database
from brain.plugins import Component, Plugin, PluginContext, plugins
from brain.store.deletion_clock import deletion_clock

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
    deletion_clock(store, lambda: stream.backend.newest_at())
    try:
        yield PluginContext(stream, store, database, settings, plugins())
    finally:
        database.dispose()


@contextmanager
def database_context(settings: Settings) -> Iterator[PluginContext]:
    """The context for a command that needs the consumers' database alone: stream and store are not opened.

    Whatever uses them raises Unavailable. Raises InvalidInput for a bad database URL.
    """
    stream, store = cast("EventStream", _NotOpened("stream")), cast("Store", _NotOpened("store"))
    database = settings.database or default_database(settings.stream)
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

    Raises InvalidInput when its `open` cannot be imported, and whatever its opening raises.
    """
    opener = plugin.opener()
    if opener is None:
        yield Component()
        return
    async with AsyncExitStack() as opened:
        try:
            component = await opened.enter_async_context(opener(context))
        except Exception as error:
            error.add_note(f"plug-in {plugin.name} was being opened by {plugin.open}")
            raise
        yield component
