"""The command `brain` as a user runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
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
    """Runs `brain` in a folder, where it keeps its `brain.db`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str | Path) -> Ran:
        out, err = self.folder / ".out", self.folder / ".err"
        process = spawn(_run, self.folder, [*map(str, arguments)], out, err)
        process.join(120)
        if process.exitcode is None:
            process.kill()
        return Ran(process.exitcode, out.read_text(), err.read_text())


def _run(folder: Path, arguments: Sequence[str], out: Path, err: Path) -> None:
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("BRAIN_")]:
        del os.environ[name]
    os.environ["NO_COLOR"] = "1"
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["brain", *arguments]
    cli.main()
