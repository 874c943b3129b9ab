"""A package in the first version's form, a module and a consumer: its files, by their path."""

from __future__ import annotations

FILES = {
    "pyproject.toml": """
[project]
name = "brain-tides"
version = "1.0"
requires-python = ">=3.11"

[project.entry-points."brain.modules"]
tides = "brain_tides"

[project.entry-points."brain.consumers"]
floods = "brain_floods"

[build-system]
requires = ["uv_build>=0.9"]
build-backend = "uv_build"

[tool.uv.build-backend]
module-name = ["brain_tides", "brain_floods"]
""",
    "src/brain_tides/__init__.py": '"""Tides at each harbour."""\n',
    "src/brain_tides/events.py": """
from typing import Annotated, TypedDict
from msgspec import Meta
from brain import EventType, Frequency, Priority

class Tide(TypedDict):
    harbour: Annotated[str, Meta(description="The harbour's name.")]

EVENTS = (EventType("tides.high", "tides", Tide, Priority.HIGH, Frequency.LOW, "High water.", {"harbour": "east"}),)
""",
    "src/brain_tides/api.py": """
from contextlib import asynccontextmanager
from fastapi import APIRouter
from prometheus_client.core import GaugeMetricFamily
from brain.web.modules import Module
from brain_tides.events import EVENTS

@asynccontextmanager
async def open_module(stream, store, settings):
    router = APIRouter(prefix="/tides")

    @router.post("/{harbour}")
    async def high(harbour: str) -> bool:
        stream.publish(EVENTS[0].event({"harbour": harbour}))
        return settings.max_rules_age is None

    yield Module(router, lambda: [GaugeMetricFamily("tides", "Tides", 3)], {"tides": lambda: "ok"})
""",
    "src/brain_floods/__init__.py": '"""Warns of floods."""\n',
    "src/brain_floods/api.py": """
from contextlib import asynccontextmanager
from fastapi import APIRouter
from brain.consumers import Consumer, House

@asynccontextmanager
async def open_consumer(house: House):
    router, seen = APIRouter(prefix="/floods"), []

    @router.get("")
    async def floods() -> list[str]:
        return seen

    async def work():
        async for event in house.stream.subscribe("tides.*", group="floods"):
            seen.append(event.payload["harbour"])

    yield Consumer(router, [work])
""",
}
