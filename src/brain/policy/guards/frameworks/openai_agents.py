"""Function tools of the OpenAI Agents SDK."""

from __future__ import annotations

import copy
import functools
import inspect
import json
from collections.abc import Awaitable, Callable
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput
from brain.policy.guards.denials import ActionDenied, denial_text
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import run_by_mcp

if TYPE_CHECKING:
    from agents import FunctionTool

Invoke = Callable[[Any, str], Awaitable[Any]]


def guarded(action: ToolAction, tool: FunctionTool) -> FunctionTool:
    """The tool, guarded: a Python function inside, where the SDK has validated its arguments.

    A tool with an invoker of its own is decided on the JSON that it gets, with the schema's defaults filled in.
    """
    if tool._mcp_tool_binding is not None:
        raise run_by_mcp(repr(tool.name))
    copied = copy.copy(tool)
    invoker: Any = copied.on_invoke_tool
    inner = getattr(invoker, "_invoke_tool_impl", None)
    if inner is None:
        copied.on_invoke_tool = _on_json(action, copied, invoker)
        return copied
    is_function = hasattr(inner, "__agents_function_tool_wrapped_callable__")
    invoke = _with_guarded_function(action, inspect.unwrap(inner)) if is_function else _on_json(action, copied, inner)
    rebuilt = type(invoker)(_answering(invoke), invoker._on_handled_error, function_tool=copied)
    rebuilt.__dict__.update({name: value for name, value in vars(invoker).items() if name.startswith("__")})
    copied.on_invoke_tool = rebuilt
    return copied


def _with_guarded_function(action: ToolAction, invoke: Any) -> Invoke:
    """The invoker that `function_tool` made, with its function guarded; its validation stays what it is."""
    cells = dict(zip(invoke.__code__.co_freevars, invoke.__closure__, strict=True))
    try:
        function, schema = cells["the_func"].cell_contents, cells["schema"].cell_contents
    except KeyError:
        raise InvalidInput(
            "tool: this version of openai-agents builds its function tools in another way than expected; "
            "guard the function and then make the tool: function_tool(guard.tool(function))"
        ) from None
    context = list(inspect.signature(function).parameters)[:1] if schema.takes_context else []
    cells["the_func"] = CellType(action.function(function, context))
    made = FunctionType(
        invoke.__code__, invoke.__globals__, invoke.__name__, invoke.__defaults__, tuple(cells.values())
    )
    made.__dict__.update(vars(invoke))
    return made


def _answering(invoke: Invoke) -> Invoke:
    """`invoke`, whose denial is its output: the SDK's own text for a failure withholds the reason."""

    @functools.wraps(invoke)
    async def answering(ctx: Any, input: str) -> Any:
        try:
            return await invoke(ctx, input)
        except ActionDenied as denied:
            return denial_text(denied)

    return answering


def _on_json(action: ToolAction, tool: FunctionTool, invoke: Invoke) -> Invoke:
    defaults = {
        name: shape["default"]
        for name, shape in tool.params_json_schema.get("properties", {}).items()
        if isinstance(shape, dict) and "default" in shape
    }

    @functools.wraps(invoke)
    async def decided(ctx: Any, input: str) -> Any:
        try:
            given = json.loads(input, object_pairs_hook=_once_each) if input else {}
        except ValueError as error:
            return f"Action denied: the arguments cannot be read: {error}"
        if not isinstance(given, dict):
            return f"Action denied: the arguments are {type(given).__name__}, not an object"
        missing = defaults.keys() - given.keys()
        filled = {**given, **{name: defaults[name] for name in missing}}
        text = json.dumps(filled) if missing else input

        async def run(_: dict[str, Any]) -> Any:
            return await invoke(ctx, text)

        return await action.arguments(run)(filled)

    return _answering(decided)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; a name given twice is refused, for readers differ in which of the two counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found
