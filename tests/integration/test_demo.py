"""`brain demo` as a stranger runs it."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from brain.cli.commands.demo import demo
from brain.demo import api_client
from brain.demo.fleet import Api, Pace
from brain.demo.tally import CORE_TYPES
from support.command import start
from support.ports import free_port
from support.processes import kill
from support.scripted import Reply, ScriptedServer
from support.server import brain
from support.waiting import wait_until


@pytest.mark.parametrize(
    ("backend", "runs", "seconds"),
    [
        ("sqlite", 2, 1),
        ("redis", 1, 1),
        pytest.param("sqlite", 2, 10, marks=pytest.mark.long),
        pytest.param("redis", 2, 10, marks=pytest.mark.long),
    ],
)
def test_all_core_types_are_seen_and_a_second_run_works_on_the_same_state(
    backend: str, runs: int, seconds: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options = ("--stream", request.getfixturevalue("redis_url")) if backend == "redis" else ()
    totals = []
    for _ in range(runs):
        ended = brain("demo", "--seconds", str(seconds), "--json", "--folder", ".", *options, folder=tmp_path)
        assert ended.returncode == 0, ended.stderr
        report = json.loads(ended.stdout)
        check(report)
        totals.append(sum(report["events"][name] for name in CORE_TYPES))
    if backend == "sqlite":
        replayed = json.loads(brain("events", "replay", "--json", folder=tmp_path).stdout)
        core = [event for event in replayed if event["type"] in CORE_TYPES]
        assert len(core) == sum(totals), "the subscriber saw every event of both runs"
        created, deleted = (
            sorted(event["payload"]["rule_id"] for event in core if event["type"] == f"policy.rule_{change}")
            for change in ("created", "deleted")
        )
        assert created == deleted, "the demo takes its rules away"
    tickets = ticket_numbers(tmp_path)
    assert len(tickets) >= 2 * runs
    assert len(set(tickets)) == len(tickets), "the second run gave none again"


def check(report: Mapping[str, Any]) -> None:
    """What the report of every run must say."""
    assert report["missing"] == []
    assert all(report["events"][name] > 0 for name in CORE_TYPES)
    assert report["total"] == sum(report["events"].values())
    assert 0 < report["mttm_seconds"] < 10
    assert report["mitigated"] == report["events"]["threat.mitigated"]
    assert report["audit_verified"]
    # Events still come while these are asked for: decisions, of which the fleet's last is long past, are all there.
    assert min(report["audit_size"], report["metrics_events"]) >= report["events"]["policy.rule_evaluated"]
    assert report["incidents"] > 0
    held = report["stand_ins"]
    assert held["pagerduty_pages"] > 0
    assert 0 < held["jira_issues"] <= report["incidents"]
    assert 0 < held["servicenow_incidents"] <= report["incidents"]


def ticket_numbers(folder: Path) -> list[str]:
    """Those of all incidents that the runs in the folder have opened, in each ticket system."""
    incidents = json.loads(brain("incidents", "list", "--json", folder=folder).stdout)
    return [mirror["key"] for one in incidents for mirror in one["mirrors"] if mirror["key"]]


def test_without_seconds_it_serves_until_it_is_interrupted_and_leaves_the_folder_and_the_settings_alone(
    tmp_path: Path,
) -> None:
    real, temporary = tmp_path / "real", tmp_path / "temporary"
    for folder in (real, temporary):
        folder.mkdir()
    (real / "brain.toml").write_text('stream = "sqlite:///brain.db"\n[audit]\nkey_file = "real.key"\n')
    port, out, err = free_port(), tmp_path / "out", tmp_path / "err"
    environment = {"BRAIN_DATABASE": "sqlite:///real.db", "TMPDIR": str(temporary)}
    demo = start(real, ("demo", "--port", str(port)), out, err, environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False) as client:
            wait_until(lambda: _has_mitigated(client, demo), every=0.2)
        assert demo.pid is not None
        os.kill(demo.pid, signal.SIGINT)
        demo.join(60)
    finally:
        kill(demo)
    said = err.read_text()
    assert demo.exitcode in (0, 1), said  # 1 when it was interrupted before all was seen
    assert "Traceback" not in said
    assert f"http://127.0.0.1:{port}" in said
    table = dict(re.findall(r"│ (\S.*?) +│ +(\S.*?) +│", out.read_text()))
    assert {*CORE_TYPES, "MTTM (mean time to mitigate)"} <= table.keys()
    assert int(table["threat.mitigated"]) >= 1
    assert [path.name for path in real.iterdir()] == ["brain.toml"]
    assert list(temporary.iterdir()) == []


def test_a_robot_stands_still_for_a_person_and_the_audit_log_proves_it(tmp_path: Path) -> None:
    command = typer.Typer()
    command.command()(demo)
    ended = CliRunner().invoke(command, ["--robots", "--json", "--folder", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    story = json.loads(ended.stdout)
    assert story["verified"]
    assert story["refused"].startswith("interlock: a person is in zone cell of robot rover, as camera demo sees")
    assert (story["threat"][:4], story["incident"][:4], story["stopped"][:13]) == ("thr_", "inc_", "evt_hardware_")


@pytest.mark.asyncio
async def test_the_fleet_goes_on_where_the_server_closes_connections_that_are_kept() -> None:
    async with ScriptedServer() as server, api_client(server.url, {}) as client:
        server.replies += [Reply(200, "[]", {"Connection": "keep-alive"}) for _ in range(20)]
        for _ in range(20):
            assert await Api(client).call("GET", "alerts") == []


@pytest.mark.asyncio
async def test_the_fleet_asks_again_while_a_part_of_the_server_does_not_answer() -> None:
    async with ScriptedServer() as server, api_client(server.url, {}) as client:
        server.replies += [Reply(503, headers={"Retry-After": "0"}), Reply(503, headers={"Retry-After": "0"})]
        server.replies += [Reply(200, "[]")]
        assert await Api(client).call("POST", "threats", {}) == []
        assert len(server.requests) == 3


def test_a_long_demo_slows_down() -> None:
    now = [0.0]
    pace = Pace(7, clock=lambda: now[0])
    slowness = {}
    for now[0] in (0.0, 600.0, 1200.0, 86_400.0):
        slowness[now[0]] = pace.slowness
    assert slowness == {0.0: 1.0, 600.0: 1.0, 1200.0: 2.0, 86_400.0: 10.0}


def _has_mitigated(client: httpx.Client, demo: BaseProcess) -> bool:
    assert demo.is_alive(), "the demo ended by itself"
    try:
        return bool(client.get("/events", params={"pattern": "threat.mitigated"}).json()["events"])
    except httpx.HTTPError:
        return False  # not listening yet
