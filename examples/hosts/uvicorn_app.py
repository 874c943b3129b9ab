"""FastAPI or Starlette behind uvicorn: the stream opens and closes with the application.

    uvicorn uvicorn_app:app

uvicorn ends itself with the signal that it got, so that functions of `atexit` never run there: close in the lifespan.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

from brain import Event, EventStream


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
    async with EventStream.open(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db")) as stream:
        app.state.stream = stream
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{number}")
async def place(number: int, request: Request) -> dict[str, int]:
    stream: EventStream = request.app.state.stream
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        raise receipt.refused
    return {"number": number}
