"""Plain and async functions with something to ask before each call, and to say after it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from brain.errors import InvalidInput
from brain.policy.guards.function_kinds import FunctionKind, kind_of
from brain.policy.guards.threads import run_in_thread

P = ParamSpec("P")
T = TypeVar("T")


class Gate(Protocol):
    """Lets calls through or refuses them."""

    def enter(self, *, may_block: bool) -> object | None:
        """Let one call go on and give its token; None: ask again where blocking is allowed. Raises when refused."""

    def left(self, token: object, error: Exception | None, *, may_block: bool) -> bool:
        """The call is over; False: say so again where blocking is allowed."""


def gated(gate: Gate, function: Callable[P, T]) -> Callable[P, T]:
    """The function behind the gate. Raises InvalidInput for generators, whose calls are over before their work is."""
    kind = kind_of(function)
    if kind is FunctionKind.PLAIN:
        return functools.wraps(function)(_plain(gate, function))
    if kind is FunctionKind.COROUTINE:
        return functools.wraps(function)(_coroutine(gate, cast(Any, function)))
    raise InvalidInput(f"function: {function!r} is a generator; decorate a plain or an async function")


def _plain(gate: Gate, function: Callable[P, T]) -> Callable[P, T]:
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        token = gate.enter(may_block=True)
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            gate.left(token, error, may_block=True)
            raise
        gate.left(token, None, may_block=True)
        return result

    return guarded


def _coroutine(gate: Gate, function: Callable[..., Any]) -> Any:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        token = gate.enter(may_block=False)
        if token is None:
            token = await run_in_thread(functools.partial(gate.enter, may_block=True))
        try:
            result = await function(*args, **kwargs)
        except Exception as error:
            await _left(gate, token, error)
            raise
        await _left(gate, token, None)
        return result

    return guarded


async def _left(gate: Gate, token: object, error: Exception | None) -> None:
    if not gate.left(token, error, may_block=False):
        await run_in_thread(functools.partial(gate.left, token, error, may_block=True))
