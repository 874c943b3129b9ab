"""How the arguments of a call become what is decided on: action, resource, params and agent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum
from string import Formatter
from typing import Any

from brain.errors import InvalidInput
from brain.policy.guards.agent_context import Agent
from brain.policy.guards.binding import Binding, Named, binder
from brain.policy.normalisation import PLAIN, unwrap

Described = tuple[str, str | None, Any, Agent | None]
DescribeCall = Callable[[tuple[Any, ...], Mapping[str, Any]], Described]
"""A function of a call's arguments that gives action, resource, params and agent."""


class CallDescription:
    """What a guard was given to describe the calls of a function with."""

    def __init__(
        self,
        action: str,
        resource: str | Callable[..., str | None] | None,
        params: Iterable[str] | Callable[..., Mapping[str, Any]] | None,
        agent: Agent | Callable[..., Agent] | None,
    ) -> None:
        """Raises InvalidInput for an action that is no text, such as the function under a bare `@guard`."""
        if not isinstance(action, str) or not action:
            raise InvalidInput(f'action: {action!r} is not the name of an action; write @guard("payments.refund")')
        self.action = action
        self._resource = resource
        self._params = params if callable(params) or params is None else tuple(params)
        self._agent = agent

    def of(self, function: Callable[..., Any], wrapper: Callable[..., Any]) -> DescribeCall:
        """How calls of `function` through `wrapper` are described."""
        bind, binding = binder(function), Binding(wrapper)
        action, resource, wanted, agent = self.action, self._resource, self._params, self._agent
        given = _as_given(function)

        def describe(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Described:
            named = bind(*args, **kwargs)
            on, who = resource, agent
            if on is not None:
                on = given(on, args, kwargs) if callable(on) else filled(on, named, action)
            if who is not None and callable(who):
                who = given(who, args, kwargs) or {}  # nobody: refused, and not taken for whom the guard acts else
            if wanted is None:
                if args and binding.is_bound_to(args[0]):
                    named = _without_first(named, args[0])
                return action, on, named, who
            if callable(wanted):
                return action, on, given(wanted, args, kwargs), who
            return action, on, chosen(named, wanted, action), who

        return describe


class _AsSeen(Formatter):
    """Puts enums, and values of types that only begin as a text or number, into a text as rules see them."""

    def convert_field(self, value: Any, conversion: Any) -> Any:
        seen = unwrap(value) if isinstance(value, (Enum, str, int, float)) else value
        return super().convert_field(seen, conversion)


_as_seen = _AsSeen()


def _as_given(function: Callable[..., Any]) -> Callable[..., Any]:
    """Calls another function with what `function` gets: what a partial adds included."""

    def call(other: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        made, inner = other, function
        layers = []
        while isinstance(inner, functools.partial):
            layers.append(inner)
            inner = inner.func
        for layer in reversed(layers):
            made = functools.partial(made, *layer.args, **layer.keywords)
        return made(*args, **kwargs)

    return call


def _without_first(named: Named, first: object) -> Named:
    """The arguments but for the one that a method is bound to."""
    for name, value in named.items():
        if value is first:
            return {other: each for other, each in named.items() if other != name}
        if isinstance(value, tuple) and value and value[0] is first:
            return {**named, name: value[1:]}
    return named


def filled(template: str, named: Mapping[str, Any], action: str) -> str:
    """The resource that a template and arguments make. Raises InvalidInput when they do not fit."""
    try:
        if PLAIN.issuperset(map(type, named.values())):
            return template.format_map(named)
        return _as_seen.vformat(template, (), named)
    except (LookupError, ValueError, AttributeError, TypeError) as error:
        fault = f"{template!r} does not fit the arguments of {action} ({', '.join(named) or 'none'}): {error}"
        raise InvalidInput(f"resource: {fault}") from error


def chosen(named: Mapping[str, Any], wanted: Collection[str], action: str) -> dict[str, Any]:
    """Only the wanted arguments. Raises InvalidInput for one that there is not."""
    absent = [name for name in wanted if name not in named]
    if absent:
        names = ", ".join(named) or "none"
        raise InvalidInput(f"params: {', '.join(absent)} is not among the arguments of {action}: {names}")
    return {name: named[name] for name in wanted}
