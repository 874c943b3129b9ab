"""Patterns that match no declared event type: most are misspelt, and their answers would be empty without a word."""

from __future__ import annotations

from collections.abc import Iterable

from brain.charter import Pattern
from brain.nearest import nearest
from brain.plugins import catalogue

__all__ = ["unmatched_note"]


def unmatched_note(patterns: Iterable[str]) -> str | None:
    """What to say of those of the patterns that match no declared type; None when each matches one.

    No error: events of types that only another program declares are carried as well.
    """
    known = catalogue()
    nearby = [*known, *sorted({f"{name.partition('.')[0]}.*" for name in known})]
    unmatched = [text for text in patterns if not any(map(Pattern(text).matches, known))]
    if not unmatched:
        return None
    return "; ".join(f"no declared event type matches {text!r}; {_remedy(text, nearby)}" for text in unmatched)


def _remedy(text: str, nearby: Iterable[str]) -> str:
    near = nearest(text, nearby)
    return f"did you mean {near}?" if near is not None else "brain events catalogue lists them"
