"""Draws the picture of docs/architecture.md from the imports and the floors of import-linter; `make docs` calls it."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn from the imports by `make docs` -->\n", "<!-- end of the drawing -->"
_BY_NAME = re.compile(r"\s*\|\s*")


def floors() -> list[list[str]]:
    """The packages and modules of `brain` by floor, the highest first, as pyproject.toml has them."""
    config = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))
    (contract,) = config["tool"]["importlinter"]["contracts"]
    return [_BY_NAME.split(floor) for floor in contract["layers"]]


def arrows(names: list[str]) -> list[tuple[str, str]]:
    """Who imports whom, without the arrows that follow from others."""
    graph = grimp.build_graph("brain", exclude_type_checking_imports=True)
    for name in names:
        graph.squash_module(f"brain.{name}")
    below = {name: {found for found in names if found != name and _imports(graph, name, found)} for name in names}

    def reached(name: str) -> set[str]:
        return below[name].union(*map(reached, below[name]))

    return [
        (name, found)
        for name in names
        for found in sorted(below[name])
        if not any(found in reached(other) for other in below[name] if other != found)
    ]


def _imports(graph: grimp.ImportGraph, importer: str, imported: str) -> bool:
    return graph.direct_import_exists(importer=f"brain.{importer}", imported=f"brain.{imported}")


def drawing() -> Iterator[str]:
    """A Mermaid flow chart: a box a floor, an arrow from who imports to what is imported."""
    yield "```mermaid"
    yield "flowchart TB"
    for number, floor in enumerate(floors()):
        yield f"  subgraph floor{number}[ ]"
        yield from (f"    {name}" for name in floor)
        yield "  end"
    names = [name for floor in floors() for name in floor]
    yield from (f"  {importer} --> {imported}" for importer, imported in arrows(names))
    yield "```"


def page() -> str:
    """The page with the drawing as the code is now."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(drawing()) + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(PROJECT)}\n")
