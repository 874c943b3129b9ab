"""The consumer opened: its routes and its work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter

from brain.consumers import Consumer, House


@asynccontextmanager
async def open_consumer(house: House) -> AsyncIterator[Consumer]:
    """The consumer on these parts."""
    yield Consumer(APIRouter(prefix="/audit", tags=["audit"]), ())
