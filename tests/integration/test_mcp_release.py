"""Which releases of `mcp` the guards work with, each in an environment of its own: a wrong one gets a sentence."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "brain-tests"
"""Where the environments stay; a second run takes a second."""

GUARDS = """
import importlib.metadata
from brain.errors import InvalidInput
from brain.policy import Guard, PolicyEngine
from brain.policy.guards_mcp import GuardedClient, guard_server

engine = PolicyEngine()
for use in (lambda: guard_server(Guard(engine), object()), lambda: GuardedClient(Guard(engine), object())):
    try:
        use()
    except InvalidInput as error:
        print(error)
engine.close()
"""


def environment(*packages: str) -> Path:
    """The interpreter of an environment with the product's dependencies and these packages; made once, then kept."""
    wanted = "\n".join([sys.version, (ROOT / "pyproject.toml").read_text(), *packages])
    home = CACHE / f"mcp-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    CACHE.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            install = ["pip", "install", "--quiet", "--python", str(python), "-r", str(ROOT / "pyproject.toml")]
            for command in (
                ["venv", "--quiet", "--clear", "--python", sys.executable, str(home)],
                [*install, *packages],
            ):
                made = subprocess.run([uv(), *command], capture_output=True, text=True, timeout=240, check=False)
                assert made.returncode == 0, made.stderr
            (home / "complete").touch()
    return python


def uv() -> str:
    """The command `uv`: of this checkout, as `scripts/setup` puts it there, or the machine's."""
    here = ROOT / ".tools" / "bin" / "uv"
    return str(here) if here.exists() else "uv"


def run(python: Path, *arguments: str) -> str:
    """What it prints, with our code as it is here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTEST_", "COV_"))}
    env = {**kept, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"}
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, env=env, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(600)
def test_release_1_is_refused_in_a_sentence() -> None:
    said = run(environment("mcp==1.30.0"), "-c", GUARDS).splitlines()
    remedy = "pip install 'brain-eventstream[mcp]' (or 'mcp>=2,<3')"
    assert said == [f"mcp: release 1.30.0 is installed, and MCP guards need release 2: {remedy}"] * 2


@pytest.mark.long
@pytest.mark.timeout(600)
def test_without_mcp() -> None:
    said = run(environment(), "-c", GUARDS).splitlines()
    remedy = "pip install 'brain-eventstream[mcp]' (or 'mcp>=2,<3')"
    assert said == [f"mcp: is not installed, and MCP guards need its release 2: {remedy}"] * 2


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("release", ["2.0.0", "2.1.0", "2.2.0"])
def test_the_earlier_releases_2_are_guarded_as_well(release: str) -> None:
    python = environment(f"mcp=={release}", "pytest", "pytest-asyncio", "pytest-timeout", "pytest-rerunfailures")
    tests = [str(ROOT / "tests" / "integration" / f"test_mcp_{name}.py") for name in ("server", "client", "fuzz")]
    said = run(python, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *tests)
    assert " passed" in said
