"""The step that restarts a unit, against a real manager of systemd."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from brain import Event
from brain.playbooks.models import Playbook, RunState, Step
from brain.playbooks.records import Run
from brain.playbooks.systemd import restarted_since
from support.playing import playing
from support.user_systemd import user_manager

UNITS = {
    "sleeper.service": "[Service]\nExecStart=/bin/sleep 600\n",
    "broken.service": "[Service]\nType=oneshot\nExecStart=/bin/false\n",
}
PLAYBOOKS = """
playbooks:
  - name: restart
    trigger: test.failed
    subject: payload.unit
    steps:
      - restart: {unit: "${payload.unit}", user: true}
"""

PLAYBOOK = Playbook(name="restart", trigger=["test.failed"], steps=[Step(kind="restart")])


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, str]]:
    with user_manager(tmp_path / "systemd", UNITS) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield environment


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", "--user", *words], check=True, capture_output=True, text=True).stdout.strip()


def process_of(unit: str) -> str:
    return systemctl("show", "--property=MainPID", "--value", unit)


async def test_a_unit_is_restarted_and_what_went_wrong_is_said(tmp_path: Path, manager: Mapping[str, str]) -> None:
    await asyncio.to_thread(systemctl, "start", "sleeper.service")
    before = process_of("sleeper.service")
    async with playing(tmp_path, PLAYBOOKS, shipped=False) as here:
        for number, unit in enumerate(("sleeper.service", "broken.service", "none.service")):
            here.stream.publish(Event(type="test.failed", source="test_service", payload={"unit": unit}))
            await here.of("playbook.ended", number + 1)
        details = [one.payload["detail"] for one in await here.of("playbook.step_ended", 3)]
    assert process_of("sleeper.service") not in ("0", before)
    assert details[0] == "sleeper.service was restarted"
    assert "broken.service failed" in details[1]
    assert "none.service not found" in details[2]


async def test_after_a_crash_systemd_says_whether_the_unit_was_restarted(
    manager: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run = Run(
        id="run_1", playbook=PLAYBOOK, event={}, subject="", correlation_id="c", depth=1, state=RunState.RUNNING,
        step=0, dry_run=False, asked=False, answer=None, verified=None, created_at=0.0, verify_until=None, token=1,
    )  # fmt: skip
    options = {"unit": "sleeper.service", "user": True}
    began = time.time()
    await asyncio.to_thread(systemctl, "restart", "sleeper.service")
    assert await restarted_since(options, a_run, began) is True
    assert await restarted_since(options, a_run, time.time() + 0.001) is False
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    assert await restarted_since(options, a_run, began) is None
