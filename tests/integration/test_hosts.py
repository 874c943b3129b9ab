"""The examples for each host, with 1,000 events and a kill: none is lost, none comes twice, no folder is left."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hosts import EXAMPLES, KINDS, ROOT, Host, wait_for
from support.ports import free_port

EVENTS = 1_000
IN_FLIGHT = 60
"""Most events that may be lost with their jobs when a host is killed: the queue had handed them out already."""


@pytest.fixture
def host(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[Host]:
    host = Host(KINDS[request.param], tmp_path, redis_url)
    host.start()
    yield host
    host.kill()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("host", KINDS, indirect=True)
def test_events_of_a_host_that_is_killed_and_stopped(host: Host) -> None:
    host.work(range(EVENTS // 2))
    wait_for(host, lambda: len(host.accepted()) >= EVENTS // 4)
    for worker in host.workers()[-1:]:
        os.kill(worker, signal.SIGKILL)
    host.kill()
    host.start()
    host.work(range(EVENTS // 2, EVENTS))
    wait_for(host, lambda: len(host.accepted()) >= EVENTS - IN_FLIGHT)
    wait_for(host, lambda: set(host.accepted()) <= set(host.stored()))
    seconds = host.stop()
    accepted, stored = host.accepted(), host.stored()
    assert set(accepted) <= set(stored), host.output
    assert len(set(stored)) == len(stored)
    assert len(stored) >= EVENTS - IN_FLIGHT
    assert host.journals() == [], host.output
    assert max(host.ends()) <= 1.0
    print(f"{seconds:.2f} s from the signal to the end")


@pytest.mark.long
def test_uwsgi_is_refused_when_it_forks_without_a_word(redis_url: str, tmp_path: Path) -> None:
    host = Host(KINDS["uwsgi"], tmp_path, redis_url)
    listening = ["--http-socket", f"127.0.0.1:{free_port()}", "--need-app", "--master", "--processes", "2"]
    command = ["uwsgi", *listening, "--module", "flask_app:app"]
    ended = subprocess.run(command, env=host.environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "add --lazy-apps, or --py-call-uwsgi-fork-hooks" in ended.stderr


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_notebook_whose_kernel_is_killed(redis_url: str, tmp_path: Path) -> None:
    host = Host(KINDS["flask"], tmp_path, redis_url)
    program = Path(__file__).parents[1] / "support" / "notebook_run.py"
    python = host.environment["PATH"].partition(os.pathsep)[0] + "/python"
    command = [python, str(program), str(EXAMPLES / "notebook.py"), str(EVENTS // 2)]
    for _ in range(2):
        ended = subprocess.run(command, env=host.environment, cwd=tmp_path, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
    accepted, stored = host.accepted(), host.stored()
    assert len(stored) == len(set(stored)) >= EVENTS
    assert set(accepted) <= set(stored)
    assert host.journals() == []
    assert max(host.ends()) <= 1.0


def test_a_script(tmp_path: Path) -> None:
    """The cheap cut of the above for each run."""
    stream = f"sqlite:///{tmp_path / 'brain.db'}"
    command = [sys.executable, str(EXAMPLES / "script.py"), *map(str, range(1_000))]
    subprocess.run(command, env={**os.environ, "BRAIN_STREAM": stream}, check=True, timeout=60)
    host = Host.__new__(Host)
    host.folder = tmp_path
    assert len(set(host.stored())) == EVENTS
    assert host.journals() == []


def test_the_page_shows_the_examples() -> None:
    page: str = runpy.run_path(str(ROOT / "scripts" / "show_hosts.py"))["page"]()
    assert page == (ROOT / "docs" / "hosts.md").read_text(), "run `make docs`"
    for example in sorted(EXAMPLES.glob("*.py")):
        assert example.read_text() in page
        assert len(example.read_text().splitlines()) <= 40, example.name
