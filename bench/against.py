"""Any benchmark beside an earlier commit: by turns on one machine, since only figures of one run can be compared.

`python -m bench --against REV start "pipeline --redis"`: REV is checked out into a worktree in a temporary folder, with
an environment of its own (`uv sync` by REV's lock file). The scripts are those of this checkout, so that old commits
that lack them can be measured; they must use only what REV has.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[1]
TURNS = 3


def run(revision: str, scripts: Sequence[str]) -> None:
    """Print what each script prints, TURNS times for each of the two, by turns."""
    commands = [shlex.split(script) for script in scripts if script.strip()]
    unknown = [name for name, *_ in commands if not (PROJECT / "bench" / f"{name}.py").is_file()]
    if unknown:
        raise SystemExit(f"bench/ has no script of the name {', '.join(unknown)}; see `ls bench`")
    if not commands:
        raise SystemExit("name a script of bench/ to run at both commits, such as: python -m bench --against REV start")
    with checked_out(revision) as python:
        for script, *options in commands:
            for turn in range(TURNS):
                for name, interpreter in (("this checkout", sys.executable), (revision, str(python))):
                    print(f"-- {script}, turn {turn + 1} of {TURNS}, {name}", flush=True)
                    command = [interpreter, "-m", f"bench.{script}", *options]
                    subprocess.run(command, cwd=PROJECT, env=_environment(interpreter), check=True)


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """The interpreter of an environment in which `brain` is that of the revision."""
    uv = shutil.which("uv") or str(PROJECT / ".tools" / "bin" / "uv")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        checkout = Path(folder) / "checkout"
        subprocess.run(["git", "worktree", "add", "--detach", checkout, revision], cwd=PROJECT, check=True)
        try:
            command = [uv, "sync", "--quiet", "--frozen", "--compile-bytecode", "--group", "bench"]
            python = {"UV_PYTHON": sys.base_prefix + "/bin/python3", "UV_PYTHON_DOWNLOADS": "never"}
            subprocess.run(command, cwd=checkout, env=_environment(None) | python, check=True)
            yield checkout / ".venv" / "bin" / "python"
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", checkout], cwd=PROJECT, check=True)


def _environment(interpreter: str | None) -> Mapping[str, str]:
    """Without what would lead one interpreter to the other's packages; bytecode is kept, as in an installation."""
    left_out = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "UV_PROJECT_ENVIRONMENT")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return kept if interpreter is None else kept | {"PATH": f"{Path(interpreter).parent}:{kept.get('PATH', '')}"}
