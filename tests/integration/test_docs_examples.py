"""The programs in the documentation run as they are printed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from brain.settings import load_settings
from support.command import run_program
from support.server import brain

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROGRAMS = [
    pytest.param(program, id=f"{name}-{number}")
    for name in ("inbox", "correlation", "mcp", "http", "logs", "typing")
    for number, program in enumerate(
        re.findall(r"^```python\n(.*?)^```", (DOCS / f"{name}.md").read_text(), re.M | re.S)
    )
]


README_PROGRAMS = [
    pytest.param(program, id=f"readme-{number}")
    for number, program in enumerate(
        re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    )
][:2]


@pytest.mark.parametrize("program", [*README_PROGRAMS, *PROGRAMS])
def test_a_program_of_the_documents(program: str, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(program)
    done = run_program(path, folder=tmp_path)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "program", [README_PROGRAMS[0], *(pytest.param(*one.values, id=one.id, marks=pytest.mark.long) for one in PROGRAMS)]
)
def test_a_program_of_the_documents_in_a_python_of_its_own(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def readme_block(heading: str, language: str) -> str:
    """The first block in that language below the bold heading of the README's tour."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^```{language}\n(.*?)^```", text[text.index(f"**{heading}**") :], re.M | re.S)
    assert found is not None
    return found.group(1)


def test_the_readme_proves_what_happened(tmp_path: Path) -> None:
    assert brain("demo", "--seconds", "1", "--json", "--folder", "demo", folder=tmp_path).returncode == 0
    tmp_path = tmp_path / "demo"
    key = brain("audit", "key", folder=tmp_path).stdout.strip()
    event_id = ""
    for line in readme_block("Prove what happened.", "sh").splitlines():
        command = line.partition("#")[0].replace('"$(brain audit key)"', key).replace("EVENT_ID", event_id)
        name, *arguments = shlex.split(command)
        assert name == "brain"
        ended = brain(*arguments, folder=tmp_path)
        assert ended.returncode == 0, (line, ended.stderr)
        if arguments[1] == "search":
            found = brain(*arguments, "--json", folder=tmp_path)
            event_id = json.loads(found.stdout)[0]["event_id"]


def test_the_settings_in_the_readme_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brain.toml").write_text(readme_block("Get alerts.", "toml"))
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert list(settings.alerting.notifiers) == ["pager"]
    assert list(settings.incidents.systems) == ["jira"]
