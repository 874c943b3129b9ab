"""The Python that README.md and docs show, as files for a type checker."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parents[2]
FRAMEWORKS_PAGE, HOSTS_PAGE = "docs/frameworks.md", "docs/hosts.md"
_BLOCK = re.compile(r"(?:^`(?P<path>[\w./-]+\.py)`\n\n)?^```python\n(?P<code>.*?)^```$", re.M | re.S)
_AWAITS = re.compile(r"^[^ #].*\bawait ", re.M).search
_ANY_MODEL = "from typing import Any\n\nmodel: Any = ...\n\n"


def examples() -> Mapping[str, str]:
    """Every example but those with a framework's tools and those for hosts, by the name of its file.

    What a page shows as the file of a package keeps its path, without a leading `src`; the files of one page then
    import each other.
    """
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found: dict[str, str] = {}
    for page in pages:
        name = page.relative_to(ROOT).as_posix()
        for number, (path, code) in enumerate(_blocks(name)):
            if name == HOSTS_PAGE or (name == FRAMEWORKS_PAGE and number):
                continue
            usual = re.sub(r"\W", "_", name.removesuffix(".md").lower())
            found[path.removeprefix("src/") or f"{usual}_{number}.py"] = code
    return found


def framework_examples() -> Mapping[str, str]:
    """The example for each agent framework, below the guard that the page makes for all of them."""
    (_, shared), *others = _blocks(FRAMEWORKS_PAGE)
    return {code.partition("\n")[0].removeprefix("# "): _ANY_MODEL + shared + code for _, code in others}


def host_examples() -> Mapping[str, str]:
    """The programs for hosts, by the name of a file; the cells of a notebook, which may await, as a coroutine."""
    found = {f"host_{number}.py": code for number, (_, code) in enumerate(_blocks(HOSTS_PAGE))}
    return {name: _as_coroutine(code) if _AWAITS(code) else code for name, code in found.items()}


def _as_coroutine(cells: str) -> str:
    return "async def cells() -> None:\n" + indent(cells, "    ")


def _blocks(page: str) -> list[tuple[str, str]]:
    """The path above each block of Python of the page, "" for none, and its text."""
    text = (ROOT / page).read_text("utf-8")
    return [(found["path"] or "", found["code"]) for found in _BLOCK.finditer(text)]
