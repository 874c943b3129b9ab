"""The public names of a package, imported when they are first asked for (PEP 562).

A command that reads a plug-in's declaration imports its package. It must not load everything that the package offers.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from brain.extras import needs


def lazy(
    package: str, modules: Mapping[str, Sequence[str]], former: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """The `__getattr__` of a package: `modules` gives the names that each module offers, also as `"NAME as OTHER"`.

    `former` gives names of earlier releases and the names that replace them; each use is a DeprecationWarning.
    """
    homes: dict[str, tuple[str, str]] = {}
    for module, names in modules.items():
        for given in names:
            original, _, alias = given.partition(" as ")
            homes[alias or original] = module, original

    def get(name: str) -> Any:
        if former and name in former:
            text = f"{package}.{name} is now {package}.{former[name]}; the old name goes with the next release"
            warnings.warn(text, DeprecationWarning, stacklevel=2)
            return getattr(sys.modules[package], former[name])
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = homes[name]
        with needs(f"{package}.{name}"):
            value = _imported(module, original)
        setattr(sys.modules[package], name, value)
        return value

    offering = sys.modules[package]
    vars(offering)["__dir__"] = lambda: sorted({*vars(offering), *homes})
    return get


def _imported(module: str, name: str) -> Any:
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        if "support loading in subinterpreters" not in str(error) or isinstance(error.__cause__, ImportError):
            raise
        raise ImportError(
            f"brain: a package that it needs does not load in a sub-interpreter ({error}); run this part in the main "
            "interpreter, a thread or a process (docs/hosts.md)"
        ) from error
