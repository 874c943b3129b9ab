"""What docs/missions.md shows is run: its files, its commands, its agent."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from brain.settings import load_settings
from support.server import ServeProcess, brain

PAGE = (Path(__file__).parents[2] / "docs" / "missions.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w.]+)`\n\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
COMMANDS = [
    re.findall(r"^\$ (brain .*)$", block, re.M) for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
]
SCHEMAS = os.environ.get("VDA5050_SCHEMAS", "")


def say(line: str, folder: Path) -> str:
    """Run a command line of the page; what it prints."""
    words, _, file = line.partition(" > ")
    ended = brain(*shlex.split(words)[1:], folder=folder)
    assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
    if file:
        (folder / file).write_text(ended.stdout)
    return ended.stdout


def test_an_order_is_done_by_the_agent_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    start, watch, robots = COMMANDS
    for line in start:
        printed = say(line, tmp_path)
    (mission,) = json.loads(brain("missions", "list", "--json", folder=tmp_path).stdout)
    assert "order 4711" in printed
    with ServeProcess(tmp_path) as server:
        agent = compile(FILES["till.py"], "till.py", "exec")
        monkeypatch.setattr("sys.argv", ["till.py", server.url])
        exec(agent, {"__name__": "till"})
        lines = [line.replace("MISSION", mission["id"]) for line in watch]
        shown = say(lines[0], tmp_path)
        assert "allowed (question): waiting" in shown
        assert "asks: Ship order 4711 abroad?" in shown
        assert say(lines[1], tmp_path) == f"{mission['id']}.allowed: completed\n"
        exec(agent, {"__name__": "till"})
        assert '"charge" -> "allowed"' in say(lines[2], tmp_path)
        assert "till-1" in say(lines[3], tmp_path)
    assert "order 4711 is completed, 4 of 4 tasks done" in say(lines[0], tmp_path)
    for line in robots[: 3 if SCHEMAS else 2]:
        say(line.replace("SCHEMAS", SCHEMAS), tmp_path)
    (tmp_path / "order.json").write_text(json.dumps({**json.loads((tmp_path / "order.json").read_text()), "nodes": []}))
    refused = brain("missions", "check", "order.json", folder=tmp_path)
    assert (refused.returncode, "nodes: is empty" in refused.stdout) == (1, True)


def test_the_settings_of_the_page_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)
    (tmp_path / "brain.toml").write_text(block)
    monkeypatch.chdir(tmp_path)
    from brain.missions.settings import MissionSettings

    assert load_settings().table(MissionSettings).cancel_seconds == 30
