"""Tools of Strands Agents: `@tool`, tools of a module, and every other `AgentTool`."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from brain.policy.guards.denials import ActionDenied, denial_text
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import is_from, run_by_mcp, with_methods

if TYPE_CHECKING:
    from strands.types.tools import AgentTool


def guarded(action: ToolAction, tool: AgentTool) -> AgentTool:
    """The tool, guarded: `@tool` inside, where Strands has validated the arguments; others on what they are sent."""
    from strands.tools.decorator import DecoratedFunctionTool

    if is_from(tool, "strands.tools.mcp"):
        raise run_by_mcp(repr(tool.tool_name))
    if isinstance(tool, DecoratedFunctionTool) and inspect.unwrap(type(tool).stream) is DecoratedFunctionTool.stream:
        return _guarded_function(action, tool)
    return _guarded_stream(action, tool)


def _guarded_function(action: ToolAction, tool: Any) -> Any:
    cls = type(tool)
    metadata = tool._metadata
    names = metadata.signature.parameters
    function = action.function(tool._tool_func, [name for name in names if metadata._is_special_parameter(name)])

    @functools.wraps(cls.stream)
    async def stream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with aclosing(cls.stream(self, *args, **kwargs)) as events:
            async for event in events:
                yield _readable(event)

    def bound(self: Any, instance: Any, owner: type | None = None) -> Any:
        method = cls.__get__(self, instance, owner)
        if method is not self:  # Strands makes a new tool for a method of an object
            method.__class__ = type(self)
        return method

    copied = copy.copy(tool)
    copied._tool_func = copied.__wrapped__ = function
    return with_methods(copied, stream=stream, __get__=bound)


def _readable(event: Any) -> Any:
    """The event; when it is the denial, which Strands shows as any error, with our text."""
    denied = getattr(event, "exception", None)
    if isinstance(denied, ActionDenied):
        event.tool_result["content"] = [{"text": denial_text(denied)}]
    return event


def _guarded_stream(action: ToolAction, tool: AgentTool) -> AgentTool:
    """The tool decided on the input of its call; what comes of it is streamed as before."""
    cls = type(tool)

    async def stream(self: Any, tool_use: Any, invocation_state: dict[str, Any], **kwargs: Any) -> AsyncIterator[Any]:
        from strands.types._events import ToolResultEvent

        async def begin(arguments: dict[str, Any]) -> Any:
            return cls.stream(self, {**tool_use, "input": arguments}, invocation_state, **kwargs)

        try:
            events = await action.arguments(begin)(tool_use.get("input", {}))
        except ActionDenied as denied:
            content = [{"text": denial_text(denied)}]
            result = {"toolUseId": tool_use.get("toolUseId", "unknown"), "status": "error", "content": content}
            yield ToolResultEvent(result, exception=denied)
            return
        async with aclosing(events):
            async for event in events:
                yield event

    return with_methods(tool, stream=stream)
