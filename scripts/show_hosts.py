"""Puts the programs of examples/hosts into docs/hosts.md, where a line names them; `make docs` calls it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "hosts.md"
_SHOWN = re.compile(r"<!-- examples/hosts/([\w.]+) -->\n(?:```python\n.*?\n```\n)?", re.DOTALL)


def page() -> str:
    """The page with the programs as they are now."""

    def shown(found: re.Match[str]) -> str:
        text = (ROOT / "examples" / "hosts" / found[1]).read_text("utf-8")
        return f"<!-- examples/hosts/{found[1]} -->\n```python\n{text}```\n"

    return _SHOWN.sub(shown, PAGE.read_text("utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
