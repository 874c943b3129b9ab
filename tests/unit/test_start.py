"""What a start imports, and what an idle server does: counted, since times depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from brain.kit import positions
from brain.kit.database import create_tables, open_database

IMPORT_BRAIN = {"brain", "brain.errors", "brain.exports", "brain.extras"}
"""The modules of ours that `import brain` brings in."""
LIST_MODULES = 125
"""How many modules of ours a command that lists what is in the database brings in, at most."""
MOST_TIMERS, MOST_CALLS = 25, 12
"""How many timers an idle server of all plug-ins sets a second, and how many calls it makes in threads, at most."""


def run(program: str, folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def test_import_brain_brings_in_its_names_alone(tmp_path: Path) -> None:
    program = "import sys; before = set(sys.modules); import brain, json; print(json.dumps([*{*sys.modules} - before]))"
    found = set(json.loads(run(program, tmp_path)))
    assert {name for name in found if name.partition(".")[0] == "brain"} == IMPORT_BRAIN
    assert not {"asyncio", "msgspec", "pydantic", "re2", "sqlite3", "logging", "dataclasses", "inspect"} & found


@pytest.mark.parametrize("command", ["alerts", "incidents"])
def test_a_list_brings_in_what_it_needs(command: str, tmp_path: Path) -> None:
    """Of a database without alerts and incidents; what prints a table is brought in for one."""
    create_tables(open_database(f"sqlite:///{tmp_path}/brain-consumers.db"), positions.METADATA)
    listed = [sys.executable, "-X", "importtime", "-m", "brain", command, "list"]
    ran = subprocess.run(listed, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"no {command}" in ran.stderr
    found = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    ours = {name for name in found if name.partition(".")[0] == "brain"}
    assert {"brain.alerting.service", "brain.incidents.service"} & ours
    assert len(ours) <= LIST_MODULES
    assert "brain.kit.protocols" not in ours
    assert not {"fastapi", "httpx", "redis", "rich", "starlette", "stamina", "uvicorn", "sqlalchemy.orm"} & found


_IDLE = """
import asyncio, json, sys, urllib.request
from asyncio.base_events import BaseEventLoop
from brain.server.running import running
from brain.settings import load_settings

counts = {"timers": 0, "calls": 0}

def counted(name, what):
    whole = getattr(BaseEventLoop, name)
    def call(self, *given, **more):
        counts[what] += 1
        return whole(self, *given, **more)
    setattr(BaseEventLoop, name, call)

def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.status, answer.read()

async def main():
    async with running(load_settings(port=0)) as server:
        while (await asyncio.to_thread(get, server.url + "/readyz"))[0] != 200:
            pass
        ready = sorted(sys.modules)
        await asyncio.sleep(2)  # until what a start begins has come to rest
        counted("call_at", "timers")
        counted("run_in_executor", "calls")
        await asyncio.sleep(SECONDS)
        print(json.dumps([counts, ready, sorted(sys.modules)]))

asyncio.run(main())
"""


def test_an_idle_server_has_built_no_routes_and_seldom_wakes(tmp_path: Path) -> None:
    seconds = 2
    counts, ready, later = json.loads(run(_IDLE.replace("SECONDS", str(seconds)), tmp_path))
    for found in map(set, (ready, later)):
        assert not {"fastapi", "httpx", "redis", "sqlalchemy.dialects.postgresql", "yaml", "rich", "optuna"} & found
        assert not {
            name for name in found if name.startswith("brain.") and name.endswith((".http", "_http", ".http_models"))
        }
    assert counts["timers"] <= MOST_TIMERS * seconds
    assert counts["calls"] <= MOST_CALLS * seconds
