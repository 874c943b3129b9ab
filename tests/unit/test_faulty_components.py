"""A plug-in whose check, metrics, tasks or other parts fail is named, and hides nothing of the others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily
from starlette.requests import Request
from starlette.responses import Response

from brain.errors import InvalidInput
from brain.kit.context import open_plugin, plugin_context
from brain.kit.database import open_database
from brain.plugins import Component, Plugin, PluginContext
from brain.server.components import Components
from brain.server.health import Endpoints, endpoints
from brain.settings import load_settings
from brain.store import open_store
from brain.stream import EventStream
from brain.stream.tasks import RestartingTask

REQUEST = Request({"type": "http", "headers": []})
SOUND = Component(checks={"sound": lambda: "ok"}, metrics=lambda: [GaugeMetricFamily("sound", "Sound", 7)])


def fails() -> Any:
    raise ZeroDivisionError


async def answered(component: Component, ask: Callable[[Endpoints], Any]) -> Response:
    async with EventStream.open("memory://") as stream:
        with closing(open_store("memory://")) as store:
            components = Components(stream, store, load_settings(stream="memory://"), {})
            components._opened += [component, SOUND]
            components._database = open_database("memory://")
            try:
                response: Response = await ask(endpoints(stream, store, components, lambda: 0))(REQUEST)
            finally:
                components._database.dispose()
    return response


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (fails, "the check itself failed: ZeroDivisionError; see the log"),
        (lambda: None, "the check answers None, not a text"),
    ],
)
async def test_a_check_that_fails_is_one_fault_of_many(
    check: Callable[[], Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = await answered(Component(checks={"odd": check}), lambda found: found.readyz)
    checks = json.loads(bytes(response.body))["checks"]
    assert (response.status_code, checks["odd"], checks["sound"]) == (503, said, "ok")
    assert ("a check failed" in caplog.text) is (check is fails)


@pytest.mark.parametrize("metrics", [fails, lambda: [3]])
async def test_a_scrape_lacks_the_metrics_that_fail_alone(
    metrics: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    response = await answered(Component(metrics=metrics), lambda found: found.metrics)
    lines = bytes(response.body).decode().splitlines()
    assert response.status_code == 200
    assert "sound 7.0" in lines
    assert "brain_scrape_parts_missing_total 1.0" in lines
    assert "a scrape lacks a part; its plug-in must be mended" in caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tasks": 3}, "tasks is 3; write a tuple of async functions, not called yet: (watch,)"),
        ({"tasks": (fails, 7)}, "write a tuple of async functions"),
        ({"metrics": 3}, "metrics is 3; give what can be called"),
        ({"open_page": "page"}, "open_page is 'page'; give what can be called"),
        ({"end_waits": 0.5}, "end_waits is 0.5; give what can be called"),
        ({"checks": ["ok"]}, "checks is ['ok']; write a dictionary with a function for each name"),
        ({"quick": {"/weather": b"{}"}}, "write a dictionary with a function for each name"),
        ({"router": "weather:router"}, "router is 'weather:router'; give an APIRouter, or Routes"),
    ],
)
async def test_a_component_of_other_parts_is_refused_at_the_start(
    given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def opener(_: PluginContext) -> AsyncIterator[Component]:
        yield Component(**given)

    weather = Plugin(name="weather", purpose="x", open="weather:opener")
    monkeypatch.setattr(Plugin, "opener", lambda _: opener)
    async with EventStream.open("memory://") as stream:
        with (
            closing(open_store("memory://")) as store,
            plugin_context(stream, store, load_settings(stream="memory://")) as context,
            pytest.raises(InvalidInput, match="plug-in weather: weather:opener yields a Component whose") as raised,
        ):
            async with open_plugin(weather, context):
                pass
    assert said in str(raised.value)


async def test_a_task_that_is_no_coroutine_is_one_that_ends(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []
    task = RestartingTask("consumer weather", lambda: calls.append(1), lambda: len(calls) > 1)  # type: ignore[arg-type,func-returns-value]
    with pytest.raises(TypeError, match="await"):
        await task.run()
    assert task.ends == 1
    assert "consumer weather: its task ended by TypeError" in task.trouble()
    assert "a task ended; starting it again" in caplog.text
