"""What `brain` imports: a command of its own needs, and the declarations of the plug-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from brain.plugins import plugins
from brain.plugins.own import points

HEAVY = {"fastapi", "msgspec", "pydantic", "re2", "redis", "sqlalchemy", "sqlite3", "starlette", "structlog", "uvicorn"}
"""What costs time to import, and a line of help does not need."""
DECLARED = {"brain", "brain.cli", "brain.errors", "brain.exports", "brain.extras", "brain.logs", "brain.plugins"} | {
    "brain.neutral",
    "brain.redaction",
    "brain.plugins.contract",
    "brain.plugins.discovery",
    "brain.plugins.former",
    "brain.plugins.own",
}
_PRINT_MODULES = """
import sys, json, io
from brain.cli import main
out, sys.stdout = sys.stdout, io.StringIO()
try:
    main(sys.argv[1:])
except SystemExit:
    pass
json.dump(sorted(sys.modules), out)
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """The modules that a process has after `brain ARGUMENTS`."""
    ran = subprocess.run(
        [sys.executable, "-c", _PRINT_MODULES, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(json.loads(ran.stdout))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_imports_declarations_alone(tmp_path: Path, arguments: list[str]) -> None:
    found = imported(tmp_path, *arguments)
    modules = {point.value.partition(":")[0] for point in points("brain.plugins")}
    assert len(modules) == len(plugins())
    declared = {module.removesuffix(".plugin") for module in modules} | modules
    assert {name for name in found if name.partition(".")[0] == "brain"} == DECLARED | declared
    assert not HEAVY & found
    assert not {"rich", "markdown_it", "pygments"} & found, "help is plain text"


def test_a_command_imports_what_it_needs_alone(tmp_path: Path) -> None:
    made = imported(tmp_path, "ingest", "sshd", "/dev/null", "--stream", f"sqlite:///{tmp_path}/brain.db")
    assert "brain.threats.commands.ingest" in made
    found = imported(tmp_path, "threats", "list", "--stream", f"sqlite:///{tmp_path}/brain.db")
    assert "brain.threats.commands.threats" in found
    ours = {name for name in found if name.startswith("brain.")}
    others = {
        name
        for name in ours
        if ".commands" in name or name.startswith(("brain.cli.", "brain.policy.", "brain.immune.", "brain.server"))
    }
    assert others == {
        "brain.threats.commands",
        "brain.threats.commands.threats",
        "brain.policy.plugin",
        "brain.immune.plugin",
    }
    assert not {"fastapi", "uvicorn", "sqlalchemy", "redis", "structlog", "httpx"} & found
    assert {name for name in ours if name.endswith(".settings")} == {"brain.settings"}


def test_the_settings_import_the_tables_that_something_is_set_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brain.toml").write_text("[audit]\nretention_days = 100\n")
    monkeypatch.setenv("BRAIN_METRICS__TOP", "5")
    found = imported(tmp_path, "events", "catalogue", "--help") | imported(tmp_path, "events", "tail")
    assert {name for name in found if name.startswith("brain.") and name.endswith(".settings")} == {
        "brain.settings",
        "brain.audit.settings",
        "brain.metrics.settings",
    }
