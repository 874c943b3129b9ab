"""mypy and pyright as a user of the package runs them: in a folder with the user's files, with strict settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from support.framework_environments import ROOT, kept_environment, uv

PYRIGHT = "basedpyright==1.40.2"
"""pyright with the Node.js that it needs, as a package; nothing of what it adds to pyright is used."""
_TESTS = str(ROOT / "tests")


def mypy(folder: Path, cache: Path, *, python: str = sys.executable, unread: Iterable[str] = ()) -> str:
    """What `mypy --strict` says of the folder's files, "" for nothing; it finds packages where `python` does.

    The packages `unread` are left unread: whatever is imported from them has any type, as a decorator too.
    """
    strict = ["[mypy]", "strict = True", *(["disallow_untyped_decorators = False"] if unread else [])]
    sections = [f"[mypy-{package}.*]\nignore_missing_imports = True\nfollow_imports = skip" for package in unread]
    settings = folder / "mypy.ini"
    settings.write_text("\n".join([*strict, *sections]))
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--cache-dir", str(cache)]
    return _said([*command, "--no-error-summary", "--python-executable", python, "."], folder, MYPYPATH=_TESTS)


def user_environment(name: str = "typed", more: Iterable[str] = ()) -> Path:
    """The folder of an environment in which this package is installed as a user's is, from a wheel; also with pyright.

    It has the test tools that examples import, and `more`: the packages of all extras, when nothing is named.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [one for extra in project["optional-dependencies"].values() for one in extra]
    extras = [one for one in listed if not one.startswith(project["name"])]
    tools = ("pytest", "hypothesis", "structlog")
    made = kept_environment(name, [PYRIGHT, *project["dependencies"], *(more or extras), *tools])
    install = ("pip", "install", "--quiet", "--no-deps", "--reinstall", "--python", str(made / "bin" / "python"))
    uv(name, ROOT, *install, str(ROOT))
    return made


def pyright(folder: Path, environment: Path, *, but: Iterable[str] = ()) -> str:
    """What pyright, in its mode `strict` without the rules `but`, says of the folder's files, "" for nothing."""
    settings = {"typeCheckingMode": "strict", "extraPaths": [_TESTS], "pythonVersion": "3.11"}
    settings |= dict.fromkeys(but, False)
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    python = str(environment / "bin" / "python")
    said = _said([str(environment / "bin" / "basedpyright"), "--pythonpath", python], folder)
    return "" if said.startswith("0 errors, 0 warnings") else said


def verify_types(package: str, environment: Path) -> str:
    """What pyright says of the types that an installed package shows; those of other packages are theirs."""
    path = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
    command = [str(environment / "bin" / "basedpyright"), "--verifytypes", package, "--ignoreexternal"]
    return _said(command, environment, PATH=path)


def write(files: Mapping[str, str], folder: Path) -> Path:
    """Write the files below the folder, which is made."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _said(command: list[str], folder: Path, **more: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BRAIN_", "PYTHON", "MYPY"))}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, "NO_COLOR": "1", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1_200,
    )
    return done.stdout.strip()
