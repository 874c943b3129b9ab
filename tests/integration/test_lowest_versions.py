"""Guards on HTTP with the oldest releases that pyproject.toml permits, in an environment that is made once and kept."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ("tests/unit/test_guards_http.py", "tests/unit/test_guards_async.py", "tests/unit/test_guards_binding.py")
TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout", "pytest-rerunfailures", "hypothesis", "trio")


@pytest.fixture
def python(pytestconfig: pytest.Config) -> Path:
    """The Python of an environment in which every direct dependency is the oldest that is permitted."""
    uv = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    project = (ROOT / "pyproject.toml").read_text()
    wanted = [re.search(rf'"({tool}>=[^"]+)"', project) for tool in TOOLS]
    tools = [found[1] for found in wanted if found]
    assert len(tools) == len(TOOLS), "each has its floor in pyproject.toml"
    name = hashlib.sha256((project + sys.version).encode()).hexdigest()[:16]
    place = pytestconfig.cache.mkdir("lowest-versions") / name  # type: ignore[union-attr]
    python = place / "bin" / "python"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        run([uv, "venv", "--quiet", "--python", sys.executable, str(place)])
        # The form parser is FastAPI's optional one: its users choose its version.
        lowest = ["--resolution", "lowest-direct", "--only-binary", ":all:", "--no-binary", "brain-eventstream"]
        run([uv, "pip", "install", "--python", str(python), *lowest, str(ROOT), *tools, "python-multipart>=0.0.20"])
        (place / "ready").touch()
    return python


def run(command: list[str], **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTEST_"))}
    done = subprocess.run(command, cwd=ROOT, env={**environment, **more}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8_000:]}\n{done.stderr[-4_000:]}"
    return done.stdout


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_guards_with_the_oldest_releases(python: Path) -> None:
    versions = run([str(python), "-c", "import fastapi, starlette; print(fastapi.__version__, starlette.__version__)"])
    floors = re.findall(r'"(?:fastapi|starlette)>=([^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert versions.split() == [floor if floor.count(".") > 1 else f"{floor}.0" for floor in floors]
    # The conftest starts servers with packages that the product does not need.
    options = ["-q", "--noconftest", "-p", "no:cacheprovider", "--timeout", "120"]
    printed = run([str(python), "-m", "pytest", *options, *TESTS], PYTHONPATH=str(ROOT / "src"))
    assert re.search(r"\d+ passed", printed), printed
