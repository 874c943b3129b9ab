"""What kind of function a callable is, looked at through partials and callable objects."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable
from enum import Enum, auto
from typing import Any


class FunctionKind(Enum):
    """What a call gives: a result at once, or something that does the work step by step."""

    PLAIN = auto()
    COROUTINE = auto()
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()


def kind_of(function: Callable[..., Any]) -> FunctionKind:
    """The kind of a function, a partial of one, or an object with `__call__`. A class is PLAIN."""
    inner = innermost(function)
    if _is_coroutine_function(function) or _is_coroutine_function(inner):
        return FunctionKind.COROUTINE
    if inspect.isasyncgenfunction(inner):
        return FunctionKind.ASYNC_GENERATOR
    return FunctionKind.GENERATOR if inspect.isgeneratorfunction(inner) else FunctionKind.PLAIN


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """The routine or class that a call ends in: of a partial what it is made of, of an object its `__call__`."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.isroutine(function) or inspect.isclass(function) or not hasattr(type(function), "__call__"):  # noqa: B004
            return function
        else:
            call = getattr(function, "__call__")  # noqa: B004, B009
            if inspect.ismethod(call) or inspect.isfunction(call) or isinstance(call, functools.partial):
                function = call
            else:
                return function


def wraps_coroutine_function(function: Callable[..., Any]) -> bool:
    """Whether a plain function stands, by `functools.wraps`, for a coroutine function and so may give an awaitable."""
    inner = innermost(function)
    while (wrapped := getattr(inner, "__wrapped__", None)) is not None:
        inner = innermost(wrapped)
    return _is_coroutine_function(inner)


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    if inspect.iscoroutinefunction(function):
        return True
    # asyncio has a mark of its own, which inspect does not know; from 3.14 on its function is deprecated.
    return sys.version_info < (3, 14) and asyncio.iscoroutinefunction(function)
