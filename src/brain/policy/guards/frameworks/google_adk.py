"""Tools and toolsets of Google's Agent Development Kit."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput
from brain.policy.guards.denials import ActionDenied, denial_text
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import is_from, name_of_type, run_by_mcp, with_methods
from brain.policy.guards.function_kinds import FunctionKind, kind_of

if TYPE_CHECKING:
    from google.adk.tools.base_tool import BaseTool
    from google.adk.tools.base_toolset import BaseToolset


def guarded(action: ToolAction, tool: BaseTool) -> BaseTool:
    """The tool, guarded: a function inside, where ADK has prepared its arguments; others where they are called."""
    from google.adk.tools.base_tool import BaseTool
    from google.adk.tools.function_tool import FunctionTool

    _refuse_mcp(tool)
    if type(tool).run_async is BaseTool.run_async:
        raise InvalidInput(
            f"tool: {name_of_type(tool)} {tool.name!r} is run by the model's provider, so no guard can stop it here; "
            "leave it out, or give the agent a function tool in its place"
        )
    runner = next(base for base in type(tool).__mro__ if "run_async" in vars(base))
    if isinstance(tool, FunctionTool) and runner.__module__.startswith("google.adk."):
        return _guarded_function(action, tool)
    return _guarded_run(action, tool)


def guarded_toolset(guard_tool: Callable[[BaseTool], BaseTool], toolset: BaseToolset) -> BaseToolset:
    """The toolset, whose tools come out of it guarded."""
    _refuse_mcp(toolset)
    cls = type(toolset)

    @functools.wraps(cls.get_tools)
    async def get_tools(self: Any, *args: Any, **kwargs: Any) -> list[BaseTool]:
        return [guard_tool(tool) for tool in await cls.get_tools(self, *args, **kwargs)]

    return with_methods(toolset, get_tools=get_tools)


def _refuse_mcp(tool: BaseTool | BaseToolset) -> None:
    if is_from(tool, "google.adk.tools.mcp_tool"):
        raise run_by_mcp(name_of_type(tool))


def _guarded_function(action: ToolAction, tool: Any) -> Any:
    """The tool with its function guarded; its declaration is still made from the function as it was."""
    function, cls = tool.func, type(tool)
    copied = copy.copy(tool)
    copied.func = _answering(function, action.function(function, tool._ignore_params))

    def _get_declaration(self: Any) -> Any:
        plain = copy.copy(self)
        plain.func = function
        return cls._get_declaration(plain)

    return with_methods(copied, _get_declaration=_get_declaration)


def _guarded_run(action: ToolAction, tool: BaseTool) -> BaseTool:
    """The tool decided on what `run_async` gets, with the defaults of the function that it may have."""
    cls = type(tool)
    function = getattr(tool, "func", None)
    parameters = inspect.signature(function).parameters if callable(function) else {}
    defaults = {name: one.default for name, one in parameters.items() if one.default is not one.empty}

    @functools.wraps(cls.run_async)
    async def run_async(self: Any, *, args: dict[str, Any], tool_context: Any) -> Any:
        run = action.arguments(lambda given: cls.run_async(self, args=given, tool_context=tool_context))
        try:
            return await run({**defaults, **args})
        except ActionDenied as denied:
            return _answer(denied)

    return with_methods(tool, run_async=run_async)


def _answer(denied: Any) -> dict[str, str]:
    """As ADK's own tools tell the model what went wrong."""
    return {"error": denial_text(denied)}


def _answering(function: Callable[..., Any], decided: Callable[..., Any]) -> Callable[..., Any]:
    """`decided`, which is `function` guarded, of the same kind: a denial is its answer."""

    async def stream(*args: Any, **kwargs: Any) -> Any:
        try:
            async with aclosing(decided(*args, **kwargs)) as items:
                async for item in items:
                    yield item
        except ActionDenied as denied:
            yield _answer(denied)

    def generate(*args: Any, **kwargs: Any) -> Any:
        try:
            return (yield from decided(*args, **kwargs))
        except ActionDenied as denied:
            yield _answer(denied)

    async def answered(result: Awaitable[Any]) -> Any:
        try:
            return await result
        except ActionDenied as denied:
            return _answer(denied)

    async def run(*args: Any, **kwargs: Any) -> Any:
        return await answered(decided(*args, **kwargs))

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            result = decided(*args, **kwargs)
        except ActionDenied as denied:
            return _answer(denied)
        return answered(result) if inspect.isawaitable(result) else result

    kinds = {
        FunctionKind.ASYNC_GENERATOR: stream,
        FunctionKind.GENERATOR: generate,
        FunctionKind.COROUTINE: run,
        FunctionKind.PLAIN: call,
    }
    return functools.wraps(function)(kinds[kind_of(function)])
