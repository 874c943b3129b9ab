"""arq: the stream opens and closes with the worker.

    arq arq_app.WorkerSettings

arq 0.28 holds redis-py below 6, which is too old for streams on Redis: use one in an SQLite file beside it.
"""

import os
from typing import Any

from arq.connections import RedisSettings

from brain import Event, EventStream


async def open_stream(context: dict[str, Any]) -> None:
    context["stream"] = await EventStream.open(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db"))


async def close_stream(context: dict[str, Any]) -> None:
    await context["stream"].close()


async def place(context: dict[str, Any], number: int) -> None:
    stream: EventStream = context["stream"]
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        raise receipt.refused


class WorkerSettings:
    functions = (place,)
    on_startup, on_shutdown = open_stream, close_stream
    redis_settings = RedisSettings.from_dsn(os.environ.get("BROKER", "redis://127.0.0.1:6379/1"))
