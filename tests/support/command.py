"""The command `brain` as a user runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from brain import cli
from support.processes import spawn


@dataclass
class Ran:
    """A command that has ended."""

    code: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed on standard output, which must be JSON and nothing else."""
        return json.loads(self.out)


class Command:
    """Runs `brain` in a folder, where it keeps its `brain.db`.

    `port` is where it looks for a server: nowhere, unless the test has one; the usual port may be somebody else's.
    """

    def __init__(self, folder: Path, port: int = 1) -> None:
        self.folder = folder
        self.port = port

    def __call__(self, *arguments: str | Path) -> Ran:
        out, err = self.folder / ".out", self.folder / ".err"
        process = start(self.folder, arguments, out, err, {"NO_COLOR": "1", "BRAIN_PORT": str(self.port)})
        process.join(120)
        if process.exitcode is None:
            process.kill()
        return Ran(process.exitcode, out.read_text(), err.read_text())


def run_program(program: str | Path, *arguments: str, folder: Path) -> Ran:
    """Run a Python file as the main program, to its end, in a process that has imported what the package does."""
    out, err = folder / ".out", folder / ".err"
    process = start(folder, (program, *arguments), out, err, {}, main=_program)
    process.join(120)
    if process.exitcode is None:
        process.kill()
    return Ran(process.exitcode, out.read_text(), err.read_text())


def _program() -> None:
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


def start(
    folder: Path,
    arguments: Sequence[str | Path],
    out: Path,
    err: Path,
    environment: Mapping[str, str],
    main: Callable[[], None] = cli.main,
) -> BaseProcess:
    """Start `brain` in the folder, without what this environment sets of it; its output goes to the two files, or to
    one that is named twice."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("BRAIN_")}
    return spawn(_run, main, folder, [*map(str, arguments)], out, err, {**own, **environment})


def _run(
    main: Callable[[], None],
    folder: Path,
    arguments: Sequence[str],
    out: Path,
    err: Path,
    environment: Mapping[str, str],
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), descriptor)
    sys.argv = ["brain", *arguments]
    main()
