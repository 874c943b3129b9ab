"""Functions with a guard in front, of the same kind as the function: plain, coroutine, generator or both."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from typing import Any, TypeVar, cast

from brain.policy.decisions import Decision
from brain.policy.guards.approval_gate import ApprovalGate
from brain.policy.guards.description import CallDescription, DescribeCall
from brain.policy.guards.function_kinds import FunctionKind, kind_of, wraps_coroutine_function
from brain.policy.guards.threads import in_event_loop

F = TypeVar("F", bound=Callable[..., Any])
Begin = Callable[[DescribeCall, tuple[Any, ...], Mapping[str, Any]], Decision | ApprovalGate]
"""What a guard does with a call: the decision that lets it go on, or the question that a person has to answer first."""
BeginAsync = Callable[[DescribeCall, tuple[Any, ...], Mapping[str, Any]], Awaitable[Decision | ApprovalGate]]
"""The same where the event loop must not wait."""


def wrapped(function: F, description: CallDescription, begin: Begin, begin_async: BeginAsync) -> F:
    """`function` with the guard in front; classmethods and staticmethods are guarded inside."""
    if isinstance(function, (classmethod, staticmethod)):
        return cast(F, type(function)(wrapped(function.__func__, description, begin, begin_async)))
    call = _Call(function, begin, begin_async)
    wrapper = _MAKERS[kind_of(function)](call)
    functools.update_wrapper(wrapper, function)
    wrapper.__guarded_action__ = description.action
    call.describe = description.of(function, wrapper)
    return cast(F, wrapper)


class _Call:
    """What every call of a guarded function needs."""

    describe: DescribeCall

    def __init__(self, function: Callable[..., Any], begin: Begin, begin_async: BeginAsync) -> None:
        self.function = function
        self.begin = begin
        self.begin_async = begin_async

    async def allowed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        found = await self.begin_async(self.describe, args, kwargs)
        if isinstance(found, ApprovalGate):
            await found.wait_async()


def _plain(call: _Call) -> Any:
    function, begin = call.function, call.begin
    gives_awaitable = wraps_coroutine_function(function)

    def guarded(*args: Any, **kwargs: Any) -> Any:
        found = begin(call.describe, args, kwargs)
        if found.__class__ is ApprovalGate:
            if gives_awaitable and found.waits and in_event_loop():
                return _later(found, function, args, kwargs)
            found.wait()
        return function(*args, **kwargs)

    return guarded


async def _later(question: ApprovalGate, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    await question.wait_async()
    result = function(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _coroutine(call: _Call) -> Any:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        await call.allowed(args, kwargs)
        return await call.function(*args, **kwargs)

    return guarded


def _generator(call: _Call) -> Any:
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        found = call.begin(call.describe, args, kwargs)
        if isinstance(found, ApprovalGate):
            found.wait()
        return (yield from call.function(*args, **kwargs))

    return guarded


def _async_generator(call: _Call) -> Any:
    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        await call.allowed(args, kwargs)
        inner: AsyncGenerator[Any, Any] = call.function(*args, **kwargs)
        step: Callable[[], Awaitable[Any]] = inner.__anext__
        try:
            while True:
                item = await step()
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  (thrown in by the caller, and so for the function)
                    step = functools.partial(inner.athrow, error)
                else:
                    step = functools.partial(inner.asend, sent)
        except StopAsyncIteration:
            return

    return guarded


_MAKERS: Mapping[FunctionKind, Callable[[_Call], Any]] = {
    FunctionKind.PLAIN: _plain,
    FunctionKind.COROUTINE: _coroutine,
    FunctionKind.GENERATOR: _generator,
    FunctionKind.ASYNC_GENERATOR: _async_generator,
}
