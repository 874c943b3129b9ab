"""Tools and prompts of an MCPServer of one's own: decided on the values that their functions get."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from brain.errors import InvalidInput
from brain.policy.guards import ActionDenied
from brain.policy.guards.denials import denial_text
from brain.policy.guards_mcp.arguments import check_values, prepared
from brain.policy.guards_mcp.deciding import RequestDecider
from brain.policy.guards_mcp.methods import Malformed, Names, mapping_of, text_of
from brain.policy.guards_mcp.schemas import ArgumentsRefused

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.mcpserver.tools import Tool

T = TypeVar("T")


class OwnTools:
    """Stands between the server and its tools: each call runs with the very values that were decided on."""

    def __init__(self, server: MCPServer[Any], decider: RequestDecider, names: Names) -> None:
        self._server = server
        self._decider = decider
        self._names = names
        manager: Any = getattr(server, "_tool_manager", None)
        self._next: ContextVar[Decided | None] = ContextVar("brain_mcp_decided", default=None)
        if not hasattr(manager, "call_tool") or not hasattr(server, "_prompt_manager"):
            raise InvalidInput("mcp: this release keeps its tools in another place than expected; use mcp 2.0 to 2.3")
        manager.call_tool = self._call_tool
        self._manager = manager

    async def decide(self, name: str, arguments: dict[str, Any]) -> Decided:
        """The call, when it may be made. Raises ActionDenied, ArgumentsRefused."""
        tool = self._manager.get_tool(name)
        values = arguments if tool is None else _values(tool, arguments)
        await self._decider.check(self._names.tool(name, _named(values)))
        return Decided(tool, arguments, values)

    async def run(self, decided: Decided, request: Callable[[], Awaitable[T]]) -> T:
        """Go on with the request in which that call will reach the tool."""
        token = self._next.set(decided)
        try:
            return await request()
        finally:
            self._next.reset(token)

    async def _call_tool(self, name: str, arguments: dict[str, Any], context: Any, convert_result: bool = False) -> Any:
        """In the tool manager's place: also calls that the server's own code makes are decided."""
        from mcp.server.mcpserver.exceptions import ToolError

        decided = self._next.get()
        if decided is None or not decided.take(self._manager.get_tool(name), arguments):
            try:
                decided = await self.decide(name, arguments)
            except (ActionDenied, ArgumentsRefused) as error:
                raise ToolError(denial_text(error)) from error
        if decided.tool is None:
            raise ToolError(f"Unknown tool: {name}")
        tool = _with(decided.tool, decided.values)
        return await tool.run(decided.values, context, convert_result=convert_result)

    def prompt_arguments(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments as the prompt's function will get them: converted, with its defaults. Raises Malformed."""
        from mcp.server.mcpserver.utilities.func_metadata import func_metadata
        from pydantic import ValidationError

        arguments = mapping_of(params, "arguments")
        prompt = self._server._prompt_manager.get_prompt(text_of(params, "name"))
        if prompt is None:
            return arguments
        skipped = [prompt.context_kwarg] if prompt.context_kwarg is not None else []
        model = func_metadata(prompt.fn, skip_names=skipped, structured_output=False).arg_model
        try:
            return model.model_validate(dict(arguments)).model_dump_one_level()
        except ValidationError as error:
            raise Malformed(f"arguments: {error}") from error


class Decided:
    """One call that may be made, once."""

    def __init__(self, tool: Tool | None, arguments: dict[str, Any], values: dict[str, Any]) -> None:
        self.tool = tool
        self.values = values
        self._arguments = arguments
        self._taken = False

    def take(self, tool: Tool | None, arguments: dict[str, Any]) -> bool:
        """Whether that is the call; true once."""
        if self._taken or tool is not self.tool or arguments != self._arguments:
            return False
        self._taken = True
        return True


def _values(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """What the tool's function will get, by the tool's own validation. Raises ArgumentsRefused."""
    from pydantic import ValidationError

    check_values(arguments)
    if not _validates_itself(tool):
        return prepared(tool.parameters, arguments)
    try:
        values = tool.fn_metadata.validate_arguments(arguments)
    except ValidationError as error:
        raise ArgumentsRefused(f"tool {tool.name}: {error}") from error
    except Exception as error:
        raise ArgumentsRefused(f"tool {tool.name}: its own check of the arguments failed") from error
    return values


def _named(value: Any) -> Any:
    """Models as objects with each field under its own name and under the name that the tool's schema shows."""
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        fields = {name: _named(getattr(value, name)) for name in type(value).model_fields}
        shown = {_shown(info) or name: fields[name] for name, info in type(value).model_fields.items()}
        return {**(value.model_extra or {}), **fields, **shown}
    if type(value) is dict:
        return {name: _named(member) for name, member in value.items()}
    if type(value) in (list, tuple):
        return [_named(member) for member in value]
    return value


def _shown(info: Any) -> str | None:
    alias = info.validation_alias if info.validation_alias is not None else info.alias
    return alias if isinstance(alias, str) else info.alias


def _validates_itself(tool: Tool) -> bool:
    from mcp.server.mcpserver.tools import Tool as Known

    return type(tool).run is Known.run


def _with(tool: Tool, values: dict[str, Any]) -> Tool:
    """The tool for one call: its validation gives `values`, whatever it is given."""
    if not _validates_itself(tool):
        return tool
    metadata = tool.fn_metadata.model_copy()
    vars(metadata)["validate_arguments"] = lambda arguments: values
    return tool.model_copy(update={"fn_metadata": metadata})
