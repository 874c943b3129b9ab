"""Runs a program as if packages were not installed.

python absent.py core program.py ...         nothing but what a plain install brings can be imported
python absent.py typer,rich program.py ...   all but these
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

CORE = frozenset({"brain", "msgspec", "re2"})


class Absent:
    """A finder that finds nothing of the packages: their imports fail, as where they are not installed."""

    def __init__(self, packages: str) -> None:
        self._packages = None if packages == "core" else frozenset(packages.split(","))

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Raises ModuleNotFoundError for what is absent; leaves the rest to the other finders."""
        top = name.partition(".")[0]
        if self._packages is None:
            absent = top not in CORE and top not in sys.stdlib_module_names and not top.startswith("_")
        else:
            absent = top in self._packages
        if absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    finder: Any = Absent(sys.argv[1])
    sys.meta_path.insert(0, finder)
    sys.argv[:] = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
