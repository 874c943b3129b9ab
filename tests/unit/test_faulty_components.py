"""A plug-in whose check or metrics fail is named, and hides nothing of the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily
from starlette.requests import Request
from starlette.responses import Response

from brain.kit.database import open_database
from brain.plugins import Component
from brain.server.components import Components
from brain.server.health import Endpoints, endpoints
from brain.settings import load_settings
from brain.store import open_store
from brain.stream import EventStream

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
