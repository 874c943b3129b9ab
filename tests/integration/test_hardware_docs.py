"""docs/hardware.md as a reader follows it: its settings, rules, requests and commands on a real server."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.hardware.drivers import find_driver
from support.server import ServeProcess, brain
from support.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text()
TESTS = Path(__file__).parent


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)
    assert found is not None
    return found.group(1)


def request(line: str, url: str) -> Any:
    """What a line with curl answers; None for nothing."""
    _, *words = shlex.split(line.removeprefix("$ "))
    address = words[-1].replace("http://127.0.0.1:8765", url)
    given = json.loads(words[1]) if words[0] == "--json" else None
    answer = httpx.request("GET" if given is None else "POST", address, json=given, timeout=60, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


def ran(folder: Path, *arguments: str, code: int = 0) -> str:
    done = brain(*arguments, folder=folder)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_the_page_is_followed_from_its_settings_to_a_stop(tmp_path: Path) -> None:
    (tmp_path / "brain.toml").write_text(block("toml"))
    (tmp_path / "robots.yaml").write_text(block("yaml"))
    load, *curls = block("console").splitlines()
    ran(tmp_path, *shlex.split(load)[2:])
    with ServeProcess(tmp_path) as server:
        lease, command, listed, stop, clear, release = (request(line, server.url) for line in curls)
        assert (lease["agent"], lease["token"]) == ("driver-1", 1)
        assert (command["state"], command["seq"], listed) == ("ACKED", 1, [command])
        assert [(one["robot"], one["reached"]) for one in stop["robots"]] == [("rover", True)]
        assert (stop["recorded"], clear, release) == (True, {"robots": ["rover"]}, None)
        wrong = {"agent_id": "driver-2", "lease_token": 1, "linear_x": 0.1}
        answers = [
            httpx.post(f"{server.url}/api/hardware/robots/{robot}/command", json={**wrong, **more}, trust_env=False)
            for robot, more in (("rover", {}), ("rover", {"linear_x": 0.51}), ("lander", {}))
        ]
        assert [answer.status_code for answer in answers] == [409, 422, 404]
        devices = "$ curl http://127.0.0.1:8765/api/hardware/devices"
        wait_until(lambda: any(one["reading"] for one in request(devices, server.url)))
        (device, robot) = request(devices, server.url)
        assert (device["kind"], robot["id"]) == ("host", "robot:rover")
        assert device["reading"]["memory"]["total"] > 0
        host = request("$ curl http://127.0.0.1:8765/api/hardware/host", server.url)
        assert "/dev/shm" in [disk["path"] for disk in host["disks"]]
        parts = ("cpu", "memory", "battery", "temperatures", "fans", "gpus", "pressure", "cgroup")
        assert all((host[part] is None) == (part in host["unavailable"]) for part in parts)
        info = request("$ curl http://127.0.0.1:8765/api/hardware/info", server.url)
        assert info["drivers"] == ["gpio", "http", "mock"]
        metrics = httpx.get(f"{server.url}/metrics", trust_env=False).text
        assert 'brain_hardware_value{device="robot:' not in metrics  # a mock says nothing of itself
        assert 'brain_hardware_commands_refused_total{code="no_lease"} 1.0' in metrics
        # a mock is in the server alone: the command records the stop, and the server stops it
        ran(tmp_path, "hardware", "stop", "--by", "ann", "--reason", "a person in the hall", code=1)
        events = f"$ curl {server.url}/api/events?pattern=hardware.emergency_stop&newest_first=true"
        told = request(events, server.url)["events"][0]
        assert told["event"]["payload"]["reason"] == "a person in the hall", "on the stream when the command has ended"
        assert "ann: a person in the hall" in ran(tmp_path, "hardware", "robots")
        assert ran(tmp_path, "hardware", "clear", "rover", "--by", "ann", "--reason", "over") == "cleared: rover\n"
    found = json.loads(ran(tmp_path, "hardware", "devices", "--json"))
    assert [one["kind"] for one in found] == ["host", "robot"]
    assert ran(tmp_path, "hardware", "forget", found[0]["id"]) == f"{found[0]['id']} is forgotten\n"


def test_this_host_is_shown_without_a_server(tmp_path: Path) -> None:
    shown = ran(tmp_path, "hardware", "watch", "--once")
    assert re.search(r"^  memory_percent: \d", shown, re.M)
    (reading,) = json.loads(ran(tmp_path, "hardware", "watch", "--once", "--json"))
    assert reading["memory"]["total"] > 0


def test_the_driver_of_the_page_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log_driver.py").write_text(block("python"))
    monkeypatch.syspath_prepend(tmp_path)
    kind = find_driver("log_driver:LogDriver")
    assert kind.settings_model.model_fields.keys() == {"file"}


def test_the_tests_that_the_page_names_are_there() -> None:
    named = re.findall(r"`pytest (?:-m long )?(\S+) -k (\w+)`", PAGE)
    assert len(named) == 6
    for file, words in named:
        functions = re.findall(r"def (test_\w+)", (TESTS.parents[1] / file).read_text())
        assert [name for name in functions if words in name], words
