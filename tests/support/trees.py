"""The syntax trees of the packages, parsed once for the tests that look at their code."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


@cache
def trees() -> dict[str, ast.Module]:
    """The tree of every module, by its path below `src`.

    A million objects that stay: the garbage collector, which would double the time of parsing and take half a second
    whenever it looks through all of them, is spared them.
    """
    gc.disable()
    found = {
        path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))
    }
    gc.freeze()
    gc.enable()
    return found
