"""A package outside this repository: its files are those that docs/plugins.md shows, in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from support.ports import free_port
from support.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "plugins.md"
_FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.M | re.S)
BRAIN = "from brain.cli import main; main()"
"""A program that is the command `brain`."""


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


def ticket_system() -> str:
    """What docs/connectors.md says of a ticket system of one's own."""
    section = (ROOT / "docs" / "connectors.md").read_text().partition("\n## A ticket system of your own\n")[2]
    return section.partition("\n## ")[0]


class Environment:
    """A virtual environment that has what this one has, and the packages that are installed into it.

    Its commands run in forked children of one process that has imported everything (`support.fork_server`), which ends
    with the block.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._server: subprocess.Popen[str] | None = None
        _uv("venv", "--quiet", "--python", sys.executable, folder)
        here = sysconfig.get_paths()["purelib"]
        (site,) = (folder / "lib").glob("python3.*/site-packages")
        (site / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")

    def __enter__(self) -> Environment:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            assert self._server.stdin
            assert self._server.stdout
            self._server.stdin.close()
            self._server.wait(60)
            self._server.stdout.close()

    def install(self, package: Path) -> None:
        """Build the package and install it, without network and without its dependencies, which are there."""
        _uv("pip", "install", "--quiet", "--offline", "--no-deps", "--python", self.python, package)

    def run(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python in the folder, to its end, in a process that imports all that it needs."""
        command = [str(self.python), *map(str, arguments)]
        return subprocess.run(command, cwd=folder, env=_environ(), capture_output=True, text=True, timeout=120)

    def brain(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run `brain ARGUMENTS` in the folder, to its end."""
        with tempfile.TemporaryDirectory() as place:
            out, err = Path(place) / "out", Path(place) / "err"
            child = self.start(*arguments, folder=folder, out=out, err=err, code=Path(place) / "code")
            code = child.wait()
            return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

    def start(self, *arguments: str | Path, folder: Path, out: Path, err: Path, code: Path) -> Forked:
        """Start `brain ARGUMENTS` in the folder; what it prints goes to the files, and in the end its exit code."""
        if self._server is None:
            environ = _environ() | {"PYTHONPATH": str(ROOT / "tests")}
            command, pipe = [str(self.python), "-m", "support.fork_server"], subprocess.PIPE
            self._server = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True)
        assert self._server.stdin
        assert self._server.stdout
        files = {"folder": folder, "out": out, "err": err, "code": code}
        request = {name: str(path) for name, path in files.items()}
        line = json.dumps({**request, "arguments": [*map(str, arguments)], "environment": _environ()})
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        return Forked(int(self._server.stdout.readline()), code)


class Forked:
    """A command that runs in a child of an environment's fork server."""

    def __init__(self, pid: int, code: Path) -> None:
        self._pid = pid
        self._code = code

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return int(self._code.read_text()) if self._code.exists() else None

    def wait(self) -> int:
        """The exit code, when it has ended."""
        wait_until(self._code.exists, 120.0)
        return int(self._code.read_text())

    def terminate(self) -> None:
        """SIGTERM, if it runs still."""
        if self.poll() is None:
            os.kill(self._pid, signal.SIGTERM)


class Started:
    """`brain serve` or `brain worker` of the environment, in a folder, until the block ends."""

    def __init__(self, environment: Environment, *arguments: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._serves = arguments[0] == "serve"
        name = "-".join(arguments)
        self._log = folder / f"{name}.log"
        self._log.touch()
        extra = ("--port", str(self.port)) if self._serves else ()
        files = {"out": Path(os.devnull), "err": self._log, "code": folder / f"{name}.code"}
        self._process = environment.start(*arguments, *extra, folder=folder, **files)

    def __enter__(self) -> Started:
        try:
            wait_until(self._is_up, 120.0)
        except BaseException:
            self._process.terminate()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait() == 0, self.log()

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
