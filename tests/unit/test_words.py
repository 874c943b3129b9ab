"""The words of the glossary: what it replaced is in no file that users or developers read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
READ = [
    *sorted((PROJECT / "src" / "brain").rglob("*.py")),
    *sorted((PROJECT / "src" / "brain" / "server" / "static").glob("*.js")),
    *sorted((PROJECT / "docs").glob("*.md")),
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
]
REPLACED = re.compile(
    r"\b(told|anew|heeded|House|Desk|Ledger|Custody|Dispatching|Patience|open_consumer|open_module|of use to who)\b"
)
MAY = {
    "src/brain/consumers.py": "the old names, for one release",
    "src/brain/plugins/former.py": "reads plug-ins of the first version",
    "src/brain/alerting/tables.py": "names of columns that stay",
    "docs/plugins.md": "says how to turn a plug-in of the first version into one of this",
}


@pytest.mark.parametrize("path", READ, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_no_word_is_back_that_was_replaced(path: Path) -> None:
    if path.relative_to(PROJECT).as_posix() in MAY:
        assert REPLACED.search(path.read_text("utf-8")), "take it out of MAY"
        return
    lines = path.read_text("utf-8").splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if REPLACED.search(line)] == []
