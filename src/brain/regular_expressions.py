"""google-re2, imported where it loads: in a sub-interpreter of Python 3.11 its import would never return."""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["re2"]


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
