"""Guards for tools of the Model Context Protocol (the `mcp` extra): on the server's side, or on the agent's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brain.policy.guards import ActionDenied, Agent, Guard
from brain.policy.plain import plain

if TYPE_CHECKING:
    from mcp.server import MCPServer, Server, ServerRequestContext
    from mcp.server.context import CallNext, HandlerResult


def guard_server(
    guard: Guard, server: MCPServer[Any] | Server[Any], *, agent: Agent | None = None, prefix: str = ""
) -> None:
    """Decide every `tools/call` that reaches `server` before the tool runs: its name is the action, after `prefix`.

    A denial is answered as a tool's error, which the model can read; the tool does not run.
    """

    async def decide(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method != "tools/call" or ctx.params is None:
            return await call_next(ctx)
        name, arguments = ctx.params.get("name"), ctx.params.get("arguments")
        try:
            await guard.check_async(f"{prefix}{name}", None, _params(arguments), agent)
        except ActionDenied as denied:
            return _refusal(denied)
        return await call_next(ctx)

    server.middleware.append(decide)


class GuardedClient:
    """The tools of an MCP server as an agent sees them, guarded: `call_tool` asks first; all else is the client's own.

    `client` is an `mcp.Client` or a ClientSession. Raises ActionDenied.
    """

    def __init__(self, guard: Guard, client: Any, *, agent: Agent | None = None, prefix: str = "") -> None:
        self._guard = guard
        self._client = client
        self._agent = agent
        self._prefix = prefix

    async def call_tool(self, name: str, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
        """Call the tool, when the policy allows it."""
        await self._guard.check_async(f"{self._prefix}{name}", None, _params(arguments), self._agent)
        return await self._client.call_tool(name, arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def _params(arguments: object) -> dict[str, Any]:
    return plain(arguments) if isinstance(arguments, Mapping) else {}


def _refusal(denied: ActionDenied) -> HandlerResult:
    from mcp_types import CallToolResult, TextContent

    return CallToolResult(content=[TextContent(type="text", text=f"{denied.title}: {denied}")], is_error=True)
