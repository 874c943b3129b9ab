"""The tour in docs/policy.md and docs/guards.md: its commands run, and their output is compared."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import start

DOCS = Path(__file__).parents[2] / "docs"
TOUR = "\n".join((DOCS / name).read_text() for name in ("policy.md", "guards.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
LINE = re.compile(r"(?:(?P<before>.*); )?(?P<brain>brain [^|;&$<>`]*?)(?P<code> \|\| echo \"exit code \$\?\")?")
"""A line that needs no shell for `brain`: it may come after something else, and have its exit code printed."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """One in which `brain` and `python` are those under test."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, program in (("brain", '-c "from brain.cli import main; main()"'), ("python", "")):
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
        script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRAIN_")}
    return {**kept, "PATH": f"{tools}:{kept['PATH']}", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8"}


@pytest.mark.timeout(600)
def test_the_tour(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "tour"
    folder.mkdir()
    commands = 0
    for kind, text in BLOCK.findall(TOUR):
        named = re.match(r"# ([\w.]+)\n", text)
        if named:
            (folder / named[1]).write_text(text)
        elif kind == "python":
            done = run([sys.executable, "-c", text], folder, environment)
            assert re.search(r"^DENY: ", done, re.M), done
        elif kind == "console":
            for command, expected in steps(text):
                line = LINE.fullmatch(command)
                if line is None:
                    printed = run_in_shell(command, folder, environment)
                else:
                    before = run_in_shell(line["before"], folder, environment) if line["before"] else ""
                    printed = before + run_forked(line["brain"], folder, environment, line["code"] is not None)
                assert as_pattern(expected).fullmatch(trimmed(printed)), f"$ {command}\n{printed}\n---\n{expected}"
                commands += 1
    assert commands > 25


def run_forked(command: str, folder: Path, environment: dict[str, str], says_code: bool) -> str:
    """What a command of `brain` prints, forked where everything is imported; with its code if it fails."""
    printed = folder.parent / "printed"
    process = start(folder, shlex.split(command)[1:], printed, printed, environment)
    process.join(180)
    assert process.exitcode is not None, f"$ {command} does not end"
    code = f"exit code {process.exitcode}\n" if says_code and process.exitcode else ""
    return printed.read_text("utf-8") + code


def run_in_shell(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What a line prints that a shell has to read; there `brain` is a process of its own."""
    return run(["bash", "-c", command], folder, environment)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What it prints; one that goes to the background is left there."""
    if command[-1].endswith("&"):
        subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return ""
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180
    )
    return done.stdout


def steps(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what it is said to print."""
    found = []
    for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, expected = part.partition("\n")
        found.append((command, trimmed(expected)))
    return found


def trimmed(text: str) -> str:
    """Without blanks at the ends of lines, which a page should not have."""
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n"))


def as_pattern(expected: str) -> re.Pattern[str]:
    return re.compile(".*?".join(map(re.escape, expected.split("..."))), re.S)
