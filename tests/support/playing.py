"""The playbooks plug-in on real parts in a folder, with its tasks running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from brain import Event, EventStream, PolicyEngine
from brain.kit.context import plugin_context
from brain.playbooks.settings import PlaybookSettings
from brain.playbooks.tasks import PlaybookTasks
from brain.plugins import PluginContext
from brain.settings import load_settings
from brain.store import open_store
from support.waiting import until


class Playing:
    """What a test sees of them."""

    def __init__(self, context: PluginContext, tasks: PlaybookTasks, engine: PolicyEngine) -> None:
        self.context = context
        self.stream = context.stream
        self.tasks = tasks
        self.engine = engine

    async def events(self, pattern: str = "playbook.*") -> Sequence[Event]:
        return [stored.event for stored in await self.stream.read(pattern, limit=1000)]

    async def of(self, event_type: str, count: int = 1, **payload: Any) -> Sequence[Event]:
        """The events of this type and payload, once there are so many."""
        found: list[Event] = []

        async def there() -> bool:
            found[:] = [one for one in await self.events(event_type) if payload.items() <= one.payload.items()]
            return len(found) >= count

        await until(there)
        return found


@asynccontextmanager
async def playing(
    folder: Path, yaml: str = "", *, lease_seconds: float = 10.0, database: str = "", **table: Any
) -> AsyncIterator[Playing]:
    """Playbooks of this text in YAML, besides those of the package unless `shipped=False`."""
    if yaml:
        (folder / "playbooks.yaml").write_text(yaml)
        table["files"] = (str(folder / "playbooks.yaml"),)
    url = f"sqlite:///{folder}/brain.db"
    settings = load_settings(stream=url, database=database or f"sqlite:///{folder}/consumers.db")
    settings = settings.model_copy(update={"playbooks": PlaybookSettings(**table)})
    async with EventStream.open(url, journal=folder / "journal") as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, settings) as context:
            async with PlaybookTasks.open(context, lease_seconds=lease_seconds) as tasks:
                loops = [asyncio.create_task(loop()) for loop in tasks.loops]
                with PolicyEngine(stream, store=store) as engine:
                    try:
                        yield Playing(context, tasks, engine)
                    finally:
                        for loop in loops:
                            loop.cancel()
                        await asyncio.wait(loops)
