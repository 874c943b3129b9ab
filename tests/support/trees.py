"""The syntax trees of the packages, parsed once for the tests that look at their code."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


@cache
def trees() -> dict[str, ast.Module]:
    """The tree of every module, by its path below `src`."""
    return {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))
    }
