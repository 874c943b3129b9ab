"""What a module with an HTTP API gives to the server, and what it is given.

A module is a package named by an entry point of the group `brain.modules`. Its `api.py` has

    @asynccontextmanager
    async def open_module(stream: EventStream, store: Store, settings: ModuleSettings) -> AsyncIterator[Module]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastapi import APIRouter
from prometheus_client.core import Metric


class ModuleSettings(Protocol):
    """The settings that modules read."""

    @property
    def max_rules_age(self) -> float | None:
        """Seconds since the last successful look at the rules beyond which everything is denied; None: no bound."""


@dataclass(frozen=True)
class Module:
    """An opened module: its routes, mounted below /api; what it adds to `/metrics`, in a blocking call; and its parts
    in `/readyz`, each by a quick call that answers "ok" or what is wrong.
    """

    router: APIRouter
    families: Callable[[], Sequence[Metric]] | None = None
    checks: Mapping[str, Callable[[], str]] = field(default_factory=dict)
