"""Makes an environment to test in: with the lowest versions that pyproject.toml permits, or for another Python.

    python scripts/make_environment.py FOLDER [--python 3.13] [--lowest]

The test tools are those of uv.lock. Exit code 3 when there is no such Python on this machine: on the PATH, or by pyenv.
`make test-lowest` and `make test-pythons` call it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1]
_NAME = re.compile(r"[\w.-]+")


def names(requirements: list[str]) -> list[str]:
    """The names of required packages, as uv.lock writes them."""
    return [found[0].lower().replace("_", "-") for text in requirements if (found := _NAME.match(text))]


def tools() -> list[str]:
    """The development tools that are no dependencies of the package, each with the version of uv.lock."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    ours = {*names([text for given in extras for text in given]), *names(project["project"]["dependencies"])}
    locked = {found["name"]: found["version"] for found in tomllib.loads((PROJECT / "uv.lock").read_text())["package"]}
    return [f"{name}=={locked[name]}" for name in names(project["dependency-groups"]["dev"]) if name not in ours]


def floors_not_met(folder: Path) -> list[str]:
    """A line for each dependency of which the lowest version permitted is not the one in the environment."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {text for given in [project["dependencies"], *project["optional-dependencies"].values()] for text in given}
    there = {
        name.lower().replace("_", "-"): version
        for name, version in (
            path.stem.removesuffix(".dist").split("-", 1)
            for path in folder.glob("lib/python*/site-packages/*.dist-info")
        )
    }
    wrong = []
    for text in sorted(wanted):
        found = re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\d.]+)", text)
        if found and _numbers(there[found[1]]) != _numbers(found[2]):
            wrong.append(f"{text}: {there[found[1]]} is the lowest that the others permit")
    return wrong


def _numbers(version: str) -> list[int]:
    """The version without the zeros at its end, as versions are compared."""
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def requirements() -> str:
    """The package with every extra, from this folder."""
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    return f".[{','.join(extras)}]"


def interpreter(version: str) -> str | None:
    """A Python of this version that runs; None where there is none."""
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    candidates = [f"python{version}", *sorted(map(str, root.glob(f"versions/{version}.*/bin/python")))]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    return None


def main() -> None:
    """Make it, or bring it up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.11")
    parser.add_argument("--lowest", action="store_true")
    given = parser.parse_args()
    uv = shutil.which("uv") or str(PROJECT / ".tools" / "bin" / "uv")
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    python = interpreter(given.python)
    if python is None:
        print(f"Python {given.python} is not on this machine", file=sys.stderr)
        sys.exit(3)
    if not (given.folder / "bin" / "python").exists():
        subprocess.run([uv, "venv", "--quiet", "--python", python, given.folder], check=True, env=environment)
    how = ["--resolution", "lowest-direct"] if given.lowest else ["--upgrade"]
    command = [uv, "pip", "install", "--quiet", "--python", given.folder / "bin" / "python", *how]
    subprocess.run([*command, "--editable", requirements(), *tools()], check=True, env=environment, cwd=PROJECT)
    if given.lowest and (wrong := floors_not_met(given.folder)):
        sys.exit("\n".join(["raise these floors in pyproject.toml to what can be tested:", *wrong]))


if __name__ == "__main__":
    main()
