"""The known name that a misspelt one most resembles, for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name nearest to `name`, whatever their case and underscores; None when none is near.

    `likeness`: how alike they must be, from 0 to 1 (the same).
    """
    plain = {_plain(candidate): candidate for candidate in known}
    found = get_close_matches(_plain(name), plain, n=1, cutoff=likeness)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
