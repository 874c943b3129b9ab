"""One tool's action: what a guard decides when a framework calls the tool, and how a denial reads."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brain.policy.guards.binding import binder
from brain.policy.guards.description import filled

if TYPE_CHECKING:
    from brain.policy.guards.guard import Guard


@dataclass(frozen=True, slots=True)
class ToolAction:
    """A guard with the action that it decides for one tool: `resource` and `agent` are those of `Guard.tool`."""

    guard: Guard
    name: str
    resource: str | Callable[..., str | None] | None = None
    agent: Any = None

    def function(self, function: Callable[..., Any], context: Iterable[str] = ()) -> Callable[..., Any]:
        """`function`, decided on its real arguments before it runs; raises ActionDenied.

        `context` names the parameters that the framework fills in by itself. They are no choice of the agent's, so
        they are not among the params; `resource` and `agent`, when they are functions, see them all the same.
        """
        hidden = frozenset(context)
        inner = function
        while isinstance(inner, functools.partial):  # the guard calls `params` with what the inner function gets
            inner = inner.func
        bind = binder(inner)

        def params(*args: Any, **kwargs: Any) -> Mapping[str, Any]:
            return {name: value for name, value in bind(*args, **kwargs).items() if name not in hidden}

        decorate = self.guard(self.name, resource=self.resource, params=params, agent=self.agent)
        return decorate(function)

    def arguments(
        self, run: Callable[[dict[str, Any]], Awaitable[Any]]
    ) -> Callable[[Mapping[str, Any]], Awaitable[Any]]:
        """`run`, an async function of a mapping of arguments, decided on that mapping; raises ActionDenied."""

        async def call(**arguments: Any) -> Any:
            return await run(arguments)

        decorate = self.guard(self.name, resource=self._resource_of, params=_as_given, agent=self.agent)
        guarded = decorate(call)

        async def decided(arguments: Mapping[str, Any]) -> Any:
            return await guarded(**arguments)

        return decided

    def _resource_of(self, /, **arguments: Any) -> str | None:
        if callable(self.resource):
            return self.resource(**arguments)
        return None if self.resource is None else filled(self.resource, arguments, self.name)


def _as_given(**arguments: Any) -> Mapping[str, Any]:
    return arguments
