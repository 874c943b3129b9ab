"""Runs of pytest as this suite makes them: second tries are shown and few, groups stay together, a port is for one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.ports import free_port
from support.second_tries import ALLOWED

TESTS = Path(__file__).parents[1]
PLUGINS = ("-p", "pytest_rerunfailures", "-p", "xdist.plugin", "-p", "no:cacheprovider")

FLAKY = """
import pytest
tries = set()

@pytest.mark.parametrize("n", range({count}))
def test_flaky(n):
    first = n not in tries
    tries.add(n)
    assert not first, "only the second try passes"
"""


@pytest.mark.parametrize(
    ("count", "code", "workers"), [(ALLOWED, 0, []), (ALLOWED + 1, 1, []), (ALLOWED + 1, 1, ["-n", "1"])]
)
def test_a_run_shows_its_second_tries_and_fails_above_three(
    count: int, code: int, workers: list[str], tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(FLAKY.format(count=count))
    ran = run_pytest(tmp_path, f"{tmp_path.name}/test_it.py::test_flaky", *workers)
    assert ran.returncode == code, ran.stdout
    assert ran.stdout.count("E       AssertionError: only the second try passes") == count
    assert f"{count} rerun" in ran.stdout
    assert ("second tries, and at most 3 are allowed" in ran.stdout) is bool(code)


def test_a_test_cannot_give_itself_a_second_try(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.flaky(reruns=2)\ndef test_it(): assert 1\n")
    ran = run_pytest(tmp_path, "")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_it marks itself flaky" in ran.stderr + ran.stdout


LEAVES_A_STREAM_OPEN = """
import asyncio, pytest
from brain import EventStream

async def opened(close):
    stream = await EventStream.open("sqlite:///brain.db")
    if close:
        await stream.close()

@pytest.mark.parametrize("close", [False, True])
def test_it(close): assert asyncio.run(opened(close)) is None
"""


def test_a_stream_left_open_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(LEAVES_A_STREAM_OPEN)
    ran = run_pytest(tmp_path, "")
    assert ran.returncode == 1, ran.stdout
    assert "the test left a stream open" in ran.stdout
    assert re.search(r"2 passed,.* 1 error in", ran.stdout), ran.stdout


GROUPED = """
import pytest

@pytest.mark.xdist_group("server")
@pytest.mark.parametrize("n", range(2))
def test_it(n): assert n < 2
"""


def test_tests_of_a_group_stay_on_one_worker(tmp_path: Path) -> None:
    """pytest-xdist does so by the tests' names, which not every pytest lets it change."""
    (tmp_path / "test_it.py").write_text(GROUPED)
    ran = run_pytest(tmp_path, "", "-v", "-n", "1", "--dist", "loadgroup")
    assert (ran.returncode, ran.stdout.count("PASSED test_it.py::test_it[1]@server")) == (0, 1), ran.stdout


def run_pytest(folder: Path, allowed: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in the folder as this suite does, where the test named `allowed` may have a second try."""
    (folder / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(TESTS)!r})\n"
        f"from support.second_tries import SECOND_TRY; SECOND_TRY[{allowed!r}] = 'to see it'\n"
        "import support.open_streams; support.open_streams.PATIENCE = 0.1\n"
        "pytest_plugins = ['support.second_tries', 'support.open_streams']\n"
    )
    command = [sys.executable, "-m", "pytest", *PLUGINS, "--rootdir", str(folder), *options]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_no_two_processes_are_given_the_same_port() -> None:
    code = "from support.ports import free_port; print(*(free_port() for _ in range(100)), flush=True); input()"
    others = [
        subprocess.Popen([sys.executable, "-c", code], cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    given = [free_port() for _ in range(100)]
    for other in others:
        assert other.stdout is not None
        given += map(int, other.stdout.readline().split())
    for other in others:
        other.communicate(b"\n", timeout=60)
    assert len(set(given)) == len(given) == 400
