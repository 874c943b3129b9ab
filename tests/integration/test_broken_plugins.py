"""A plug-in that is broken stops nobody who does not use it, and is said by those who must run them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import looking_anew
from support.command import Ran, start

MODULES = {
    "sound.py": "from brain.plugins import Plugin\nPLUGIN = Plugin(name='twice', purpose='x')\n",
    "divides.py": "1 / 0\n",
    "ends.py": "import sys\nsys.exit(3)\n",
    "takes.py": "from brain.plugins import Plugin\nfrom brain.policy.events import EVENTS\n"
    "PLUGIN = Plugin(name='a_taker', purpose='x', events='takes')\n",
    "no_plugin.py": "PLUGIN = 7\n",
    "asks.py": "from pydantic import BaseModel\nfrom brain.plugins import Plugin\n"
    "class Table(BaseModel):\n    city: str\n"
    "PLUGIN = Plugin(name='asks', purpose='x', settings='asks:Table')\n",
    "silent.py": "from brain.plugins import Plugin\nPLUGIN = Plugin(name='silent', purpose='x', events='divides')\n",
}
BROKEN = [
    ("brain.plugins", "weather = no_such_module:PLUGIN", "no_such_module:PLUGIN of broken cannot be loaded"),
    ("brain.plugins", "weather = divides:PLUGIN", "divides:PLUGIN of broken cannot be loaded: division by zero"),
    ("brain.plugins", "weather = ends:PLUGIN", "cannot be loaded: it ends the process at its import (SystemExit: 3)"),
    (
        "brain.plugins",
        "a_taker = takes:PLUGIN",
        "plug-in a_taker: event type policy.rule_evaluated is declared by policy too",
    ),
    ("brain.plugins", "weather = no_plugin:PLUGIN", "is of the type int; name a Plugin there"),
    ("brain.plugins", "one = sound:PLUGIN\ntwo = sound:PLUGIN", "plug-in 'twice' is installed twice"),
    ("brain.plugins", "silent = silent:PLUGIN", "events names 'divides:EVENTS', which cannot be imported"),
    ("brain.modules", "weather = no_such_module", "no_such_module cannot be loaded"),
]
WITHOUT_DEFAULT = ("brain.plugins", "asks = asks:PLUGIN", "plug-in asks: its setting 'city' has no default")
"""This one is found when settings are imported, so that only a new process finds it."""
A_STREAM = """
import asyncio
from brain import Event, EventStream
async def main():
    async with EventStream.open('memory://') as stream:
        await stream.publish(Event(type='a.b', source='a_service', payload={}))
asyncio.run(main())
print('stored')
"""


def installed(folder: Path, entry_points: str) -> Path:
    """The folder, in which a package with these entry points is now installed below `site`."""
    info = folder / "site" / "broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text(entry_points)
    for name, text in MODULES.items():
        (folder / "site" / name).write_text(text)
    return folder


def forked(folder: Path, *arguments: str) -> Ran:
    """`brain ...` in a child that has imported Brain already, and looks for plug-ins anew."""
    out, err = folder / ".out", folder / ".err"
    child = start(folder, arguments, out, err, {"BRAIN_PORT": "0"}, main=looking_anew.main)
    child.join(60)
    return Ran(child.exitcode, out.read_text(), err.read_text())


def process(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in a process that imports everything itself."""
    environ = {**os.environ, "PYTHONPATH": str(folder / "site"), "BRAIN_PORT": "0"}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("group", "lines", "fault"), BROKEN, ids=[fault for _, _, fault in BROKEN])
def test_commands_that_do_not_need_it_work_and_the_others_say_what_to_do(
    group: str, lines: str, fault: str, tmp_path: Path
) -> None:
    folder = installed(tmp_path, f"[{group}]\n{lines}\n")
    assert forked(folder, "--version").code == 0
    assert forked(folder, "policy", "schema").code == 0
    served = forked(folder, "serve")
    assert served.code == 2, served.err
    assert fault in served.err
    assert "Traceback" not in served.err
    examined = forked(folder, "doctor")
    assert examined.code == 1
    assert fault.split(":")[0].split(",")[0] in " ".join(examined.out.split())
    assert "Traceback" not in examined.err


def test_processes_of_their_own_go_on_beside_all_of_them(tmp_path: Path) -> None:
    points: dict[str, list[str]] = {}
    for number, (group, lines, _) in enumerate([*BROKEN, WITHOUT_DEFAULT]):
        points.setdefault(group, []).extend(f"n{number}_{line}" for line in lines.splitlines())
    folder = installed(tmp_path, "".join(f"[{group}]\n" + "\n".join(those) + "\n" for group, those in points.items()))
    command = "from brain.cli import main; main()"
    assert process(folder, command, "policy", "schema").returncode == 0
    stored = process(folder, A_STREAM)
    assert (stored.returncode, stored.stdout) == (0, "stored\n"), stored.stderr
    for arguments, code in ((["serve"], 2), (["doctor"], 1)):
        ran = process(folder, command, *arguments)
        assert ran.returncode == code, ran.stderr
        assert WITHOUT_DEFAULT[2] in " ".join((ran.stdout + ran.stderr).split())
        assert "Traceback" not in ran.stderr
