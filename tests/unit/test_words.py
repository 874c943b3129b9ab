"""The words of the glossary: what it replaced is in no file that users or developers read."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
READ = [
    *sorted((PROJECT / "src" / "brain").rglob("*.py")),
    *sorted((PROJECT / "src" / "brain" / "server" / "static").glob("*.js")),
    *sorted((PROJECT / "docs").glob("*.md")),
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
]
REPLACED = re.compile(
    r"\b(story|stories|told|anew|heeded|House|Desk|Ledger|Custody|Dispatching|Patience|open_consumer|open_module|"
    r"of use to who)\b"
)
MAY = {
    "src/brain/consumers.py": "the old names, for one release",
    "src/brain/plugins/former.py": "reads plug-ins of the first version",
    "src/brain/alerting/tables.py": "names of columns that stay",
    "src/brain/incidents/tables.py": "names of columns that stay",
    "src/brain/server/static/router.js": "links of before",
    "docs/plugins.md": "says how to turn a plug-in of the first version into one of this",
}


def places(path: Path) -> list[str]:
    """Where the file has a word that was replaced."""
    name = path.relative_to(PROJECT).as_posix()
    lines = path.read_text("utf-8").splitlines()
    return [f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if REPLACED.search(line)]


def test_no_word_is_back_that_was_replaced() -> None:
    found = {path.relative_to(PROJECT).as_posix(): places(path) for path in READ}
    assert len(found) > 400
    assert [place for name, there in found.items() if name not in MAY for place in there] == []
    assert [name for name in MAY if not found[name]] == [], "take these out of MAY"
