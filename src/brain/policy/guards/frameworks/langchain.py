"""Tools of LangChain and LangGraph: `BaseTool` and its subclasses, among them StructuredTool, Tool and `@tool`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput
from brain.policy.guards.denials import ActionDenied, denial_text
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import name_of_type, run_by_mcp, with_methods, without_methods

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


def guarded(action: ToolAction, tool: BaseTool) -> BaseTool:
    """The tool with its functions guarded: inside, where LangChain has validated the arguments."""
    from langchain_core.tools import StructuredTool, Tool

    for function in (getattr(tool, "func", None), getattr(tool, "coroutine", None)):
        if getattr(function, "__module__", "").startswith("langchain_mcp_adapters"):
            raise run_by_mcp(repr(tool.name))
    cls = type(tool)
    _refuse_own_entries(cls)
    answers = {"run": _answering(cls.run), "arun": _answering_async(cls.arun)}
    runs_functions = any(cls._run is base._run and cls._arun is base._arun for base in (StructuredTool, Tool))
    if not runs_functions:
        return with_methods(tool, **answers, **_methods(action, tool))
    functions = {
        name: action.function(function, _context(tool, function))
        for name in ("func", "coroutine")
        if (function := getattr(tool, name)) is not None
    }
    return with_methods(tool.model_copy(update=functions), **answers)


def _refuse_own_entries(cls: type[BaseTool]) -> None:
    """A class may enter a tool in ways of its own, past `_run` and `_arun`, where the guard is."""
    for name in ("invoke", "ainvoke", "run", "arun"):
        if not inspect.unwrap(getattr(cls, name)).__module__.startswith("langchain_core."):
            raise InvalidInput(f"tool: {name_of_type(cls)} has {name} of its own; put what it does into _run or _arun")


def _methods(action: ToolAction, tool: BaseTool) -> dict[str, Callable[..., Any]]:
    """`_run` and `_arun` of a subclass, guarded. They run on the tool without its guard: one may call the other."""
    from langchain_core.tools import BaseTool

    cls = type(tool)
    decided_run = action.function(cls._run, _context(tool, cls._run) | _first(cls._run))

    @functools.wraps(cls._run)
    def _run(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        return decided_run(without_methods(self, cls), *args, **kwargs)

    if cls._arun is BaseTool._arun:  # it runs `_run`
        return {"_run": _run}
    decided_arun = action.function(cls._arun, _context(tool, cls._arun) | _first(cls._arun))

    @functools.wraps(cls._arun)
    async def _arun(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        return await decided_arun(without_methods(self, cls), *args, **kwargs)

    return {"_run": _run, "_arun": _arun}


def _first(method: Callable[..., Any]) -> set[str]:
    """The name that a method has for its object."""
    return set(list(inspect.signature(method).parameters)[:1])


def _context(tool: BaseTool, function: Callable[..., Any]) -> set[str]:
    """The parameters that LangChain and LangGraph fill in: state, store, runtime, callbacks, configuration."""
    from langchain_core.tools.base import _get_runnable_config_param

    fields = getattr(tool.args_schema, "model_fields", ())
    names = {*inspect.signature(function).parameters, *fields, *tool._injected_args_keys}
    chosen = set(tool._filter_injected_args(dict.fromkeys(names)))
    filled = (names - chosen) | {name for name in [_get_runnable_config_param(function)] if name}
    schema = tool.args_schema
    shown = schema.get("properties", {}) if isinstance(schema, dict) else tool.args
    return filled - set(shown)


def _answering(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def answering(self: BaseTool, *args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
        try:
            return run(self, *args, tool_call_id=tool_call_id, **kwargs)
        except ActionDenied as denied:
            return _answer(self, denied, tool_call_id)

    return answering


def _answering_async(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    async def answering(self: BaseTool, *args: Any, tool_call_id: str | None = None, **kwargs: Any) -> Any:
        try:
            return await run(self, *args, tool_call_id=tool_call_id, **kwargs)
        except ActionDenied as denied:
            return _answer(self, denied, tool_call_id)

    return answering


def _answer(tool: BaseTool, denied: Any, tool_call_id: str | None) -> Any:
    """As LangChain answers a tool's error: a message for a model's call, else the text."""
    from langchain_core.messages import ToolMessage

    if tool_call_id is None:
        return denial_text(denied)
    return ToolMessage(denial_text(denied), name=tool.name, tool_call_id=tool_call_id, status="error")
