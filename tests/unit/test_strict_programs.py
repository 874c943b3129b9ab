"""In programs with unusual settings: all warnings are errors, no UTF-8, no assertions, a sub-interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os
from brain import Event, EventStream, PolicyEngine, Rule
from brain.policy import Guard

os.umask(0o077)
engine = PolicyEngine()
engine.add_rule(Rule(id="deletes", name="No deletion", effect="DENY", priority=1))
print(engine.evaluate({"action": "delete"}).rule_id)
stream = EventStream.open_sync("sqlite:///brain.db", journal="journals")
for number in range(25):
    stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
"""
COUNT = """
from brain import EventStream
with EventStream.open_sync("sqlite:///brain.db", journal="journals") as stream:
    print(sum(1 for _ in stream.replay_sync("order.*")))
"""
SOURCE = Path(__file__).parents[2] / "src"


def run(folder: Path, program: str, *options: str, **environment: str) -> str:
    """What the program prints, on both outputs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG", "HOME"))}
    done = subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_strict_program_without_utf_8_and_home_in_a_folder_with_such_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "bräin ünd"
    folder.mkdir()
    strict = ("-X", "dev", "-bb", "-W", "error", "-X", "warn_default_encoding")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONOPTIMIZE": "2"}
    assert run(folder, PROGRAM, *strict, **plain) == "deletes\n"
    assert run(folder, COUNT) == "25\n"  # in UTF-8, and of the same stream
    assert list((folder / "journals").iterdir()) == []


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters came with Python 3.14")
def test_what_does_not_load_in_a_sub_interpreter_is_said(tmp_path: Path) -> None:
    program = f"""
from concurrent import interpreters
try:
    interpreters.create().exec({PROGRAM!r})
except interpreters.ExecutionFailed as error:
    print(error)
"""
    assert "run this part in the main interpreter, a thread or a process" in run(tmp_path, program)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="later ones load google-re2 in a sub-interpreter")
def test_a_sub_interpreter_in_which_google_re2_would_hang_is_refused(tmp_path: Path) -> None:
    program = f"""
import _xxsubinterpreters as interpreters
try:
    interpreters.run_string(interpreters.create(isolated=False), {PROGRAM!r})
except interpreters.RunFailedError as error:
    print(error)
"""
    assert "google-re2 does not load in a sub-interpreter of Python 3.11" in run(tmp_path, program)


def test_a_program_whose_folder_was_deleted_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    program = f"""
import os
os.chdir("gone")
os.rmdir("../gone")
from brain import BrainError, EventStream
from brain.store import open_store
for way in (EventStream.open_sync, open_store):
    try:
        way("sqlite:///brain.db")
    except BrainError as error:
        print(error)
with EventStream.open_sync("sqlite:///{tmp_path}/brain.db") as stream:
    print(stream.is_closed())
"""
    said = "brain.db: the current folder was deleted; change to another one, or name an absolute path\n"
    # -P: Python 3.13.0 imports nothing in such a folder where it is on the path.
    assert run(tmp_path, program, "-P") == said + said + "False\n"
