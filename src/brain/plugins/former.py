"""Plug-ins of the first version, read for one release: entry points of `brain.modules` and `brain.consumers`.

Their package has an `api.py` with `open_module(stream, store, settings)` or `open_consumer(house)`. docs/plugins.md
says how to turn one into a `brain.plugins` entry point.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Any

from brain.errors import InvalidInput
from brain.extras import IMPORT_FAULTS, import_fault
from brain.plugins.contract import Component, Plugin, PluginContext
from brain.plugins.own import installed

GROUPS = ("brain.modules", "brain.consumers")


@dataclass(frozen=True)
class Module:
    """What `open_module` gave in the first version."""

    router: Any
    families: Callable[[], Any] | None = None
    checks: Any = field(default_factory=dict)

    def component(self) -> Component:
        """The same as a Component."""
        return Component(self.router, (), self.families, self.checks)


@dataclass(frozen=True)
class Consumer:
    """What `open_consumer` gave in the first version."""

    router: Any
    work: Any
    families: Callable[[], Any] | None = None

    def component(self) -> Component:
        """The same as a Component."""
        return Component(self.router, tuple(self.work), self.families)


class FormerPlugin(Plugin):
    """A package of the first version, as a Plugin."""

    def opener(self) -> Callable[[PluginContext], AbstractAsyncContextManager[Component]] | None:
        """Opens the package's module or consumer."""
        if self.open is None:
            return None
        api = import_module(self.open)

        @asynccontextmanager
        async def opened(context: PluginContext) -> AsyncIterator[Component]:
            if self.runs:
                opening = api.open_consumer(context)
            else:
                opening = api.open_module(context.stream, context.store, context.settings)
            async with opening as found:
                yield found.component()

        return opened


def former_points() -> Iterator[EntryPoint]:
    """What is installed under the old entry points, each with a DeprecationWarning."""
    for group in GROUPS:
        for point in installed(group):
            warnings.warn(
                f"entry point {point.name!r} of {group} ({point.value}): use the group brain.plugins; docs/plugins.md "
                "says how. The next release no longer reads it.",
                DeprecationWarning,
                stacklevel=2,
            )
            yield point


def former_plugin(point: EntryPoint) -> FormerPlugin:
    """The package as a Plugin. Raises InvalidInput when it cannot be imported."""
    package = point.value
    try:
        words = (import_module(package).__doc__ or "").strip().partition("\n")[0]
        events, api = _there(f"{package}.events"), _there(f"{package}.api")
    except IMPORT_FAULTS as error:
        raise InvalidInput(
            f"plug-in {point.name!r}: {package} cannot be loaded: {import_fault(error)}; repair or remove its package"
        ) from error
    return FormerPlugin(
        name=point.name,
        purpose=words or f"{package}, made for the first version.",
        events=events,
        open=api,
        listens=("*",) if point.group == "brain.consumers" else (),
    )


def _there(module: str) -> str | None:
    return module if find_spec(module) is not None else None
