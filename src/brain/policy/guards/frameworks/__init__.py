"""Tools of agent frameworks, guarded inside. No framework is imported here unless the tool is one of its objects."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import is_from, name_of_type

if TYPE_CHECKING:
    from brain.policy.guards.guard import Guard

_TOOLS = {
    "agents.tool.FunctionTool": "openai_agents",
    "google.adk.tools.base_tool.BaseTool": "google_adk",
    "langchain_core.tools.base.BaseTool": "langchain",
    "pydantic_ai.tools.Tool": "pydantic_ai",
    "smolagents.tools.Tool": "smolagents",
    "strands.types.tools.AgentTool": "strands",
}
_TOOLSETS = {
    "google.adk.tools.base_toolset.BaseToolset": "google_adk",
    "pydantic_ai.toolsets.abstract.AbstractToolset": "pydantic_ai",
}
_PACKAGES = ("google.adk", "langchain", "langchain_core", "langgraph", "pydantic_ai", "smolagents", "strands")


def guarded(guard: Guard, tool: Any, *, name: str | None, resource: Any, agent: Any) -> Any:
    """A framework's tool or toolset as the same kind of object, guarded; None for a function or a callable object.

    Raises InvalidInput for everything else, which could not be guarded, and says what to do.
    """
    if inspect.isclass(tool) and (_found(tool, _TOOLS) or _found(tool, _TOOLSETS)):
        raise InvalidInput(f"tool: {name_of_type(tool)} is a class; give an object of it")

    def action(of: str) -> ToolAction:
        return ToolAction(guard, name or of, resource, agent)

    cls = type(tool)
    if module := _found(cls, _TOOLS):
        return _module(module).guarded(action(tool_name(tool)), tool)
    if module := _found(cls, _TOOLSETS):
        if name is not None:
            raise InvalidInput(f"name: {name_of_type(tool)} holds several tools, each with a name of its own")
        if module == "google_adk":
            return _module(module).guarded_toolset(
                lambda one: guarded(guard, one, name=None, resource=resource, agent=agent), tool
            )
        return _module(module).guarded_toolset(action, tool)
    if _of_a_framework(tool):
        raise InvalidInput(
            f"tool: {name_of_type(tool)} is no tool whose calls run here as a function's do, so it cannot be guarded; "
            "give the function tools that it stands for, or ask Guard.check where it acts"
        )
    if not callable(tool) and not isinstance(tool, classmethod):
        raise InvalidInput(
            f"tool: {name_of_type(tool)} cannot be called; give a function, a callable object, or a tool object of "
            "openai-agents, LangChain, Pydantic AI, Strands, Google ADK or smolagents"
        )
    return None


def tool_name(tool: Any) -> str:
    """The name that a framework's tool, or a guarded function, goes by."""
    attributes = ("tool_name", "name") if _found(type(tool), _TOOLS) else ("__guarded_action__",)
    names = [name for attribute in attributes if isinstance(name := getattr(tool, attribute, None), str)]
    if not names:
        raise InvalidInput(f"name: {name_of_type(tool)} has no name; give one")
    return names[0]


def by_name(tools: Iterable[Any]) -> dict[str, Any]:
    """Guarded tools by name, toolsets by their ids or classes.

    Raises InvalidInput when two tools have the same name: a mapping would lose one of them.
    """
    named: dict[str, Any] = {}
    for tool in tools:
        if _found(type(tool), _TOOLSETS):
            name = getattr(tool, "id", None) or f"{type(tool).__name__} {len(named) + 1}"
        else:
            name = tool_name(tool)
        if name in named:
            raise InvalidInput(f"tools: two are called {name!r}; give them names of their own, as a mapping")
        named[name] = tool
    return named


def _module(name: str) -> Any:
    return import_module(f"{__name__}.{name}")


def _found(cls: type, known: dict[str, str]) -> str | None:
    """The module of ours for the first of `cls` and its bases that is known."""
    return next((known[path] for base in cls.__mro__ if (path := name_of_type(base)) in known), None)


def _of_a_framework(tool: object) -> bool:
    packages: tuple[str, ...] = _PACKAGES
    if hasattr(sys.modules.get("agents"), "FunctionTool"):  # a common name, so only when it is the SDK's
        packages = (*packages, "agents")
    return any(is_from(tool, package) for package in packages)
