"""Tools of smolagents: `Tool` and its subclasses, and `@tool`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from brain.errors import InvalidInput
from brain.policy.guards.denials import ActionDenied, denial_text
from brain.policy.guards.frameworks.action import ToolAction
from brain.policy.guards.frameworks.objects import is_from, name_of_type, run_by_mcp, with_methods

if TYPE_CHECKING:
    from smolagents import Tool


def guarded(action: ToolAction, tool: Tool) -> Tool:
    """The tool with `forward` guarded (`encode` for a PipelineTool, whose `forward` gets tensors).

    A tool call of the model is answered with the denial's text; code, a person's or a code agent's, gets ActionDenied.
    """
    from smolagents import Tool
    from smolagents.tools import PipelineTool

    cls = type(tool)
    if is_from(tool, "mcpadapt"):
        raise run_by_mcp(repr(tool.name))
    if inspect.unwrap(cls.__call__) not in (Tool.__call__, PipelineTool.__call__):
        raise InvalidInput(f"tool: {name_of_type(tool)} has a __call__ of its own; put what it does into forward")
    inner = "encode" if isinstance(tool, PipelineTool) else "forward"
    own = vars(tool).get(inner)  # some wrappers set it on the object
    methods: dict[str, Any] = {"__call__": _answering(cls.__call__), "to_dict": _refuse_source}
    if own is None:
        methods[inner] = _guarded_method(action, cls, inner)
    copied = with_methods(tool, **methods)
    if own is not None:
        setattr(copied, inner, action.function(own))
    return copied


def _guarded_method(action: ToolAction, cls: type[Tool], name: str) -> Any:
    found = inspect.getattr_static(cls, name)
    if not isinstance(found, staticmethod):
        return action.function(found, list(inspect.signature(found).parameters)[:1])
    shown = found.__func__
    parameters = list(inspect.signature(shown).parameters.values())
    if parameters and parameters[0].name == "self":  # `@tool` makes a static method that claims to take it
        del parameters[0]

    def taken(*args: Any, **kwargs: Any) -> Any:
        return shown(*args, **kwargs)

    setattr(taken, "__signature__", inspect.Signature(parameters))  # noqa: B010  (a function's type has no such name)
    decided = action.function(taken)
    return staticmethod(functools.wraps(shown)(lambda *args, **kwargs: decided(*args, **kwargs)))


def _answering(call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def answering(self: Tool, *args: Any, sanitize_inputs_outputs: bool = False, **kwargs: Any) -> Any:
        try:
            return call(self, *args, sanitize_inputs_outputs=sanitize_inputs_outputs, **kwargs)
        except ActionDenied as denied:
            if sanitize_inputs_outputs:  # as an agent sets it for a tool call; other calls come from code
                return denial_text(denied)
            raise type(denied)(denial_text(denied), denied.decision, denied.approval) from denied

    return answering


def _refuse_source(tool: Tool) -> NoReturn:
    raise InvalidInput(
        f"tool: {tool.name!r} is guarded and cannot be saved or sent elsewhere as source: it would run without its "
        "guard; run the agent with the local executor"
    )
