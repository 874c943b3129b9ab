"""Tools and toolsets of Pydantic AI."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput
from brain.policy.guards.denials import ActionDenied, denial_text
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import is_from, name_of_type, run_by_mcp, with_methods

if TYPE_CHECKING:
    from pydantic_ai.tools import Tool
    from pydantic_ai.toolsets import AbstractToolset

Actions = Callable[[str], ToolAction]


def guarded(action: ToolAction, tool: Tool[Any]) -> Tool[Any]:
    """The tool with its function guarded: inside, where Pydantic AI has validated the arguments."""
    copied = copy.copy(tool)
    copied.function_schema = _guarded_schema(action, tool.function_schema)
    copied.function = copied.function_schema.function
    return copied


def guarded_toolset(actions: Actions, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
    """The toolset with each of its tools guarded, also those that join it later; `actions` gives a name's action.

    The framework's own wrappers stay as they are, round guarded toolsets. Raises InvalidInput when tools run elsewhere.
    """
    from pydantic_ai.toolsets import CombinedToolset, ExternalToolset, WrapperToolset
    from pydantic_ai.toolsets._dynamic import DynamicToolset

    if isinstance(toolset, ExternalToolset):
        raise InvalidInput(f"tool: the tools of {name_of_type(toolset)} run elsewhere; ask Guard.check where they run")
    if is_from(toolset, "pydantic_ai.mcp"):
        raise run_by_mcp(name_of_type(toolset))
    of_the_framework = type(toolset).__module__.startswith("pydantic_ai.")
    copied = copy.copy(toolset)
    if of_the_framework and isinstance(toolset, DynamicToolset):
        copied.toolset_func = _guarded_factory(actions, toolset.toolset_func)
    elif of_the_framework and isinstance(toolset, WrapperToolset):
        copied.wrapped = guarded_toolset(actions, toolset.wrapped)
    elif of_the_framework and isinstance(toolset, CombinedToolset):
        copied.toolsets = [guarded_toolset(actions, each) for each in toolset.toolsets]
    else:
        return _guarded_leaf(actions, toolset)
    return copied


def _guarded_leaf(actions: Actions, toolset: AbstractToolset[Any]) -> AbstractToolset[Any]:
    """A toolset whose `call_tool` is guarded, and so is what it becomes for a run or a step of one."""
    from pydantic_ai.toolsets import FunctionToolset

    cls = type(toolset)
    knows_functions = cls.call_tool is FunctionToolset.call_tool

    async def call_tool(self: Any, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
        if knows_functions:  # it runs a function of its own: decided on that function's arguments, defaults and all
            schema = _guarded_schema(actions(tool.original_name or name), tool.call_func.__self__)
            return await cls.call_tool(self, name, tool_args, ctx, dataclasses.replace(tool, call_func=schema.call))
        run = actions(name).arguments(lambda arguments: cls.call_tool(self, name, arguments, ctx, tool))
        return await _failing_async(run)(tool_args)

    def staying(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def stays(self: Any, ctx: Any) -> Any:
            became = await method(self, ctx)
            return became if type(became) is type(self) else guarded_toolset(actions, became)

        return stays

    return with_methods(
        toolset, call_tool=call_tool, for_run=staying(cls.for_run), for_run_step=staying(cls.for_run_step)
    )


def _guarded_factory(actions: Actions, factory: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(factory)
    async def build(ctx: Any) -> Any:
        built = factory(ctx)
        toolset = await built if inspect.isawaitable(built) else built
        return None if toolset is None else guarded_toolset(actions, toolset)

    return build


def _guarded_schema(action: ToolAction, schema: Any) -> Any:
    """A function's schema with the function guarded; the schema itself stays. The first parameter may be RunContext."""
    context = list(inspect.signature(schema.function).parameters)[:1] if schema.takes_ctx else []
    failing = _failing_async if schema.is_async else _failing
    return dataclasses.replace(schema, function=failing(action.function(schema.function, context)))


def _failing(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, whose denial is a failure of the tool that the model reads and that ends nothing."""
    from pydantic_ai import ToolFailed

    @functools.wraps(function)
    def failing(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ActionDenied as denied:
            raise ToolFailed(denial_text(denied)) from denied

    return failing


def _failing_async(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    from pydantic_ai import ToolFailed

    @functools.wraps(function)
    async def failing(*args: Any, **kwargs: Any) -> Any:
        try:
            return await function(*args, **kwargs)
        except ActionDenied as denied:
            raise ToolFailed(denial_text(denied)) from denied

    return failing
