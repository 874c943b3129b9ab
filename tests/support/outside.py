"""A package outside this repository: its files are those that docs/plugins.md shows, in an environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import httpx

from support.ports import free_port
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugins.md"
_FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.M | re.S)
_BRAIN = "from brain.cli import main; main()"


def files_on_page() -> dict[str, str]:
    """The files that the page shows, by their path in the package."""
    return files_in(PAGE.read_text())


def files_in(text: str) -> dict[str, str]:
    """The files that a text in Markdown shows, by their path in the package."""
    return dict(_FILE.findall(text))


def write(files: Mapping[str, str], folder: Path) -> Path:
    """Write the files below the folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


class Environment:
    """A virtual environment that has what this one has, and the packages that are installed into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        _uv("venv", "--quiet", "--python", sys.executable, folder)
        here = sysconfig.get_paths()["purelib"]
        (site,) = (folder / "lib").glob("python3.*/site-packages")
        (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")

    def install(self, package: Path) -> None:
        """Build the package and install it, without network and without its dependencies, which are there."""
        _uv("pip", "install", "--quiet", "--offline", "--no-deps", "--python", self.python, package)

    def run(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python in the folder, to its end."""
        command = [str(self.python), *map(str, arguments)]
        return subprocess.run(command, cwd=folder, env=_environ(), capture_output=True, text=True, timeout=120)

    def brain(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run `brain ARGUMENTS` in the folder, to its end."""
        return self.run("-c", _BRAIN, *arguments, folder=folder)


class Started:
    """`brain serve` or `brain worker` of the environment, in a folder, until the block ends."""

    def __init__(self, environment: Environment, *arguments: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._serves = arguments[0] == "serve"
        self._log = folder / f"{'-'.join(arguments)}.log"
        extra = ("--port", str(self.port)) if self._serves else ()
        command = [str(environment.python), "-c", _BRAIN, *arguments, *extra]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, cwd=folder, env=_environ(), stderr=log, stdout=subprocess.DEVNULL)

    def __enter__(self) -> Started:
        wait_until(self._is_up, 120.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(60) == 0, self.log()

    def log(self) -> str:
        """What it wrote to standard error."""
        return self._log.read_text()

    def _is_up(self) -> bool:
        assert self._process.poll() is None, f"it ended: {self.log()}"
        if not self._serves:
            return '"working"' in self.log()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=20, trust_env=False).is_success
        except httpx.HTTPError:
            return False


def _environ() -> dict[str, str]:
    """This environment's variables without those that set something of `brain` or of Python."""
    dropped = ("BRAIN_", "PYTHONPATH", "COVERAGE", "PYTEST")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | {"NO_COLOR": "1"}


def _uv(*arguments: str | Path) -> None:
    uv = ROOT / ".tools" / "bin" / "uv"
    command = [str(uv) if uv.exists() else shutil.which("uv") or "uv", *map(str, arguments)]
    ran = subprocess.run(command, env=_environ() | {"UV_PYTHON_DOWNLOADS": "never"}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
