"""A process that runs detections on a stream until it is killed."""

from __future__ import annotations

import asyncio
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from brain import EventStream
from brain.detections.loading import load
from brain.detections.tasks import DetectionTasks
from brain.kit.context import plugin_context
from brain.settings import load_settings
from brain.store import open_store


def work(url: str, database: str, rules: str, going: Connection) -> None:
    """Consume, and report, until killed."""
    asyncio.run(_work(url, database, rules, going))


async def _work(url: str, database: str, rules: str, going: Connection) -> None:
    folder = Path(rules).parent
    async with EventStream.open(url, journal=folder / "journal") as stream:
        settings = load_settings(stream=url, database=database)
        with closing(open_store(url)) as store, plugin_context(stream, store, settings) as context:
            tasks = DetectionTasks(context, load([Path(rules)], with_shipped=False))
            await tasks.prepare()
            projection: Any = tasks._projection
            projection.batch = projection._limit = 40
            going.send("going")
            await asyncio.gather(*(loop() for loop in tasks.loops))
