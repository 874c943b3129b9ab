"""A plug-in that is broken stops nobody who does not use it, and is said by those who must run them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENTRY = "[{group}]\n{lines}\n"
MODULES = {
    "sound.py": "from brain.plugins import Plugin\nPLUGIN = Plugin(name='twice', purpose='x')\n",
    "divides.py": "1 / 0\n",
    "no_plugin.py": "PLUGIN = 7\n",
    "asks.py": "from pydantic import BaseModel\nfrom brain.plugins import Plugin\n"
    "class Table(BaseModel):\n    city: str\n"
    "PLUGIN = Plugin(name='asks', purpose='x', settings='asks:Table')\n",
    "silent.py": "from brain.plugins import Plugin\nPLUGIN = Plugin(name='silent', purpose='x', events='divides')\n",
}
BROKEN = [
    ("brain.plugins", "weather = no_such_module:PLUGIN", "no_such_module:PLUGIN of broken cannot be loaded"),
    ("brain.plugins", "weather = divides:PLUGIN", "divides:PLUGIN of broken cannot be loaded: division by zero"),
    ("brain.plugins", "weather = no_plugin:PLUGIN", "is of the type int; name a Plugin there"),
    ("brain.plugins", "one = sound:PLUGIN\ntwo = sound:PLUGIN", "plug-in 'twice' is installed twice"),
    ("brain.plugins", "silent = silent:PLUGIN", "events names 'divides:EVENTS', which cannot be imported"),
    ("brain.plugins", "asks = asks:PLUGIN", "plug-in asks: its setting 'city' has no default"),
    ("brain.modules", "weather = no_such_module", "no_such_module cannot be loaded"),
]


def brain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`brain ...` in a folder of its own, with the packages of `folder` installed."""
    environ = {**os.environ, "PYTHONPATH": str(folder / "site"), "BRAIN_PORT": "0"}
    command = [sys.executable, "-c", "from brain.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=BROKEN, ids=[fault for _, _, fault in BROKEN])
def broken(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A folder in which a package with such an entry point is installed, and what is to be said of it."""
    group, lines, fault = request.param
    info = tmp_path / "site" / "broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY.format(group=group, lines=lines))
    for name, text in MODULES.items():
        (tmp_path / "site" / name).write_text(text)
    return tmp_path, fault


def test_commands_that_do_not_need_it_work_and_the_others_say_what_to_do(broken: tuple[Path, str]) -> None:
    folder, fault = broken
    assert brain(folder, "--version").returncode == 0
    assert brain(folder, "policy", "schema").returncode == 0
    served = brain(folder, "serve")
    assert served.returncode == 2, served.stderr
    assert fault in served.stderr
    assert "Traceback" not in served.stderr
    examined = brain(folder, "doctor")
    assert examined.returncode == 1
    assert fault.split(":")[0].split(",")[0] in " ".join(examined.stdout.split())
    assert "Traceback" not in examined.stderr


def test_a_stream_opens_beside_it(broken: tuple[Path, str]) -> None:
    folder, _ = broken
    program = (
        "import asyncio\nfrom brain import Event, EventStream\n"
        "async def main():\n"
        "    async with EventStream.open('memory://') as stream:\n"
        "        await stream.publish(Event(type='a.b', source='a_service', payload={}))\n"
        "asyncio.run(main())\nprint('stored')\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(folder / "site")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "stored\n"), done.stderr
