"""Who sent a request, as the application knows it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable

from starlette.requests import HTTPConnection

from brain.policy.guards import Agent

Identify = Callable[[HTTPConnection], Agent | Awaitable[Agent | None] | None]
"""Who sent a request: an id or a mapping, perhaps after awaiting; the application knows how it authenticates.

None is an unknown sender, who is refused; give ANONYMOUS where senders may be unknown."""


async def identified(identify: Identify, connection: HTTPConnection) -> Agent:
    """The sender; a mapping without an id, which a guard refuses, when the application does not know it."""
    found = identify(connection)
    known = await found if inspect.isawaitable(found) else found
    return known if known is not None else {}
