"""What is in `deploy/`: Prometheus takes it, every alert fires in its test, a real server has every metric named."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from brain.settings import Settings
from support.metrics_traffic import Traffic
from support.server import running_server
from support.waiting import until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/brain-alerts.yml"
RULES_TEST = ROOT / "deploy/prometheus/brain-alerts-test.yml"
SCRAPES = ROOT / "deploy/prometheus/prometheus.yml"
DASHBOARD = ROOT / "deploy/grafana/brain-dashboard.json"

_METRIC = re.compile(r"\b(brain_[a-z0-9_]+)(?:\{([^}]*)\})?")
_LABELS = re.compile(r"(\w+)\s*=")
_BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def promtool(*arguments: str | Path, given: str = "") -> str:
    """What promtool says, which must be satisfied."""
    command = shutil.which("promtool") or str(ROOT / ".tools/bin/promtool")
    ran = subprocess.run([command, *map(str, arguments)], input=given, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> Iterator[dict[str, Any]]:
    return (panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row")


def test_prometheus_takes_rules_and_configuration() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", RULES)
    assert "SUCCESS" in promtool("check", "config", SCRAPES)


def test_every_alert_fires_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST)
    tested = {test["name"]: test for test in yaml.safe_load(RULES_TEST.read_text())["tests"]}
    assert tested.keys() == {rule["alert"] for rule in alerts()}
    for test in tested.values():
        quiet, firing = test["alert_rule_test"]
        assert (bool(quiet["exp_alerts"]), bool(firing["exp_alerts"])) == (False, True)


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) > 25
    for panel in panels():
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert all(target["expr"] for target in panel["targets"])


async def test_every_metric_and_label_named_is_there_on_a_real_server(tmp_path: Path) -> None:
    settings = Settings(stream=f"sqlite:///{tmp_path / 'brain.db'}", port=0, consumers=("metrics",))
    async with running_server(settings) as (server, client):
        events = Traffic(1, start=time.time() - 1800, hours=0.4).events(300)
        for receipt in [server.stream.publish(event) for event in events]:
            await receipt

        async def exposed() -> str:
            return (await client.get("/metrics", headers={"Accept": "text/plain"})).text

        async def counted() -> bool:
            found = re.findall(r"^brain_events_total{.*} (.*)$", await exposed(), re.MULTILINE)
            return sum(map(float, found)) >= len(events)

        await until(counted)
        text = await exposed()
    assert promtool("check", "metrics", given=text) == ""
    labels: dict[str, set[str]] = {}
    without_samples = set()
    for family in text_string_to_metric_families(text):
        if not family.samples:
            without_samples.add(family.name)  # nothing is set up that these could be about
        for sample in family.samples:
            labels.setdefault(sample.name, {"instance"}).update(sample.labels)
    expressions = [rule["expr"] for rule in alerts()]
    expressions += [target["expr"] for panel in panels() for target in panel["targets"]]
    named = set()
    for expression in expressions:
        found = _METRIC.findall(expression)
        assert found or expression.startswith("up{"), expression
        for name, matchers in found:
            named.add(name)
            if name in without_samples:
                continue
            assert name in labels, f"{name} in {expression}"
            assert set(_LABELS.findall(matchers)) <= labels[name], expression
        known = set().union(*(labels.get(name, set()) for name, _ in found))
        grouping = {label.strip() for by in _BY.findall(expression) for label in by.split(",")}
        assert grouping <= known or not known, expression
    exposed_names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in labels}
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
    print(f"{len(used)} of {len(exposed_names)} metrics are used by dashboard or alerts")


@pytest.mark.parametrize("path", [RULES, DASHBOARD])
def test_no_alert_or_panel_depends_on_one_machine(path: Path) -> None:
    assert not re.search(r"https?://|localhost|127\.0\.0\.1", path.read_text())
