"""A package in the first version's form, a module and a consumer: read for one release."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.outside import Environment, Started, write
from support.waiting import wait_until

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


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("environment") / "env") as made:
        made.install(write(FILES, tmp_path_factory.mktemp("package")))
        yield made


def test_its_module_and_its_consumer_run_as_before(environment: Environment, tmp_path: Path) -> None:
    with (
        Started(environment, "serve", folder=tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        assert client.post("/api/tides/east").json() is True
        wait_until(lambda: client.get("/api/floods").json() == ["east"])
        assert "tides 3.0" in client.get("/metrics").text
        assert client.get("/readyz").json()["checks"]["tides"] == "ok"
        assert "tides.high" in {entry["name"] for entry in client.get("/api/events/catalogue").json()}
        listed = {entry["name"]: entry for entry in client.get("/api/plugins").json()}
    assert listed["tides"]["purpose"] == "Tides at each harbour."
    assert (listed["floods"]["listens"], listed["floods"]["runs_here"]) == (["*"], True)


def test_its_author_is_warned(environment: Environment, tmp_path: Path) -> None:
    ran = environment.run("-W", "always", "-c", "from brain.plugins import plugins; plugins()", folder=tmp_path)
    assert ran.returncode == 0
    for name, group in (("tides", "brain.modules"), ("floods", "brain.consumers")):
        assert f"DeprecationWarning: entry point '{name}' of {group} (brain_{name}): use the group brain.plugins" in (
            ran.stderr
        )


def test_it_can_be_left_out_of_the_server(environment: Environment, tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text('consumers = ["audit"]\n')
    with Started(environment, "serve", folder=tmp_path) as server:
        listed = httpx.get(f"{server.url}/api/plugins", timeout=60, trust_env=False).json()
        with Started(environment, "worker", "floods", folder=tmp_path):
            pass
    assert {entry["name"]: entry["runs_here"] for entry in listed}["floods"] is False
