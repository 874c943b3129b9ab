"""Environments beside the project's own, made with uv at their first use and kept for later runs: one for each agent
framework, for the hosts, and for type checkers. Their versions conflict with each other and with ours.

`scripts/setup test` runs this module, which makes the one that `make test` needs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).parent / "frameworks"
FRAMEWORKS: Mapping[str, Sequence[str]] = {
    "google_adk": ("google-adk==2.13.0", "mcp>=2"),
    "langchain": ("langchain-core==1.8.3", "langgraph==1.2.24", "langchain==1.5.2", "langchain-mcp-adapters==0.3.2"),
    "openai_agents": ("openai-agents==0.24.0",),
    "pydantic_ai": ("pydantic-ai-slim[mcp]==2.68.0",),
    "smolagents": ("smolagents[mcp]==1.26.0", "mcp<2"),
    "strands": ("strands-agents==1.62.0",),
}
TRACED: Mapping[str, Sequence[str]] = {
    "agent_framework": ("agent-framework-core==1.23.0",),
    "google_adk": ("google-adk==2.13.0",),
    "pydantic_ai": ("pydantic-ai-slim==2.68.0",),
    "strands": ("strands-agents[otel]==1.62.0",),
}
"""Frameworks whose traces telemetry counts (support/traced), with OpenTelemetry's SDK and exporter."""
HOSTS: Mapping[str, Sequence[str]] = {
    "arq": ("arq==0.28.0", "redis<6"),
    "hosts": (
        "celery==5.7.0",
        "django==5.2.19",
        "dramatiq==2.2.1",
        "fastapi>=0.133",
        "flask==3.1.3",
        "gevent==26.9.0",
        "gunicorn==27.0.1",
        "ipykernel==7.4.0",
        "nbclient==0.11.0",
        "pyuwsgi==2.0.30.post1",
        "redis>=8",
        "rq==3.0.0",
        "uvicorn>=0.35",
    ),
}
"""What programs run in (support.hosts), with what a plain install of ours brings."""
SMALL_CUT = "pydantic_ai"
"""The framework that `make test` runs; `make test-long` runs all of them."""
_TOOLS = ("pytest>=8.4", "pytest-asyncio>=1.0")


def environment(framework: str) -> Path:
    """The folder of the environment of a framework or of hosts, with what a plain install of ours brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return kept_environment(framework, [*{**FRAMEWORKS, **HOSTS}[framework], *project["dependencies"], *_TOOLS])


def traced_environment(framework: str) -> Path:
    """The folder of the environment of a framework that is traced."""
    exporter = ("opentelemetry-sdk>=1.34", "opentelemetry-exporter-otlp-proto-http>=1.34")
    return kept_environment(f"traced_{framework}", [*TRACED[framework], *exporter])


def kept_environment(name: str, requirements: Iterable[str]) -> Path:
    """The folder of an environment with these packages. Fails the test when uv cannot make it.

    It is in $XDG_CACHE_HOME/brain-tests, for this version of Python and these requirements; a registry is asked once.
    """
    wanted = sorted(requirements)
    key = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "brain-tests"
    folder = cache / f"{name}-{key}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv(name, cache, "venv", "--quiet", "--python", sys.executable, str(folder))
            uv(name, cache, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), *wanted)
            (folder / "complete").touch()
    return folder


def run_cases(framework: str, timeout: float) -> str:
    """What pytest prints for the framework's cases, run in its environment; fails the test unless all of them pass."""
    python = environment(framework) / "bin" / "python"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTEST_", "COV_"))}
    quiet = {"OPENAI_AGENTS_DISABLE_TRACING": "1", "LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1"}
    path = os.pathsep.join([str(ROOT / "src"), str(CASES)])
    command = [str(python), "-m", "pytest", "-c", str(CASES / "pytest.ini"), "--noconftest"]
    done = subprocess.run(
        [*command, str(CASES / f"cases_{framework}.py")],
        env={**kept, **quiet, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        pytest.fail(f"the cases for {framework} fail:\n{done.stdout}", pytrace=False)
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two runs of the tests at once make an environment once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def uv(name: str, folder: Path, *arguments: str) -> None:
    """Run uv in the folder, for the environment of that name; fails the test when it fails."""
    program = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not Path(program).exists():
        pytest.fail(f"uv is neither on the PATH nor at {program}, where scripts/setup puts it: run that", pytrace=False)
    variables = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run([program, *arguments], cwd=folder, env=variables, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(
            f"the environment for {name} cannot be made; its packages come from a registry, once:\n{done.stderr}",
            pytrace=False,
        )


if __name__ == "__main__":
    environment(SMALL_CUT)
