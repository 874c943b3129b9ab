"""google-re2, imported where it loads: in a sub-interpreter of Python 3.11 its import would never return.

A forked child compiles its patterns again. RE2 lets other threads run while it matches, and makes the states of a
pattern's automaton behind a lock: one that a thread of the parent holds at the fork is held for ever in the child.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

from brain.platform import at_fork

__all__ = ["Pattern", "re2"]


def _refuse_sub_interpreter() -> None:
    try:
        interpreters = import_module("_xxsubinterpreters")
    except ImportError:  # a Python without them
        return
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError(
            "brain: google-re2 does not load in a sub-interpreter of Python 3.11; take Python 3.12 or later, or "
            "run this in the main interpreter (mod_wsgi: WSGIApplicationGroup %{GLOBAL}; docs/hosts.md)"
        )


if sys.version_info < (3, 12):
    _refuse_sub_interpreter()

import re2  # noqa: E402


class Pattern(re2._Regexp):  # type: ignore[misc]  # RE2's wrapper has no types
    """A compiled pattern, as `re2.compile` gives it, that a forked child can use. Raises re2.error.

    For hot paths: `pattern._regexp.Match` is RE2's own function. Look it up at each call, since a fork changes it.
    """

    __slots__ = ("__weakref__", "_given")

    def __init__(self, pattern: str | bytes, options: Any) -> None:
        super().__init__(pattern, options)
        self._given = pattern, options
        _patterns[next(_numbers)] = self

    def __getattr__(self, name: str) -> Any:
        """What a fork took away."""
        if name != "_regexp":
            raise AttributeError(name)
        super().__init__(*self._given)
        return self._regexp


_compiled = re2._Regexp._regexp  # the slot: to read it makes nothing
_numbers = count()
_patterns: WeakValueDictionary[int, Pattern] = WeakValueDictionary()
_left: list[Any] = []
"""What the parent compiled: a thread of it may have been changing it, so nobody frees it in the child either."""


def _leave_to_parent() -> None:
    for pattern in list(_patterns.values()):
        with suppress(AttributeError):  # a child that forks itself has not used it yet
            _left.append(_compiled.__get__(pattern))
            _compiled.__delete__(pattern)


at_fork(in_child=_leave_to_parent)
