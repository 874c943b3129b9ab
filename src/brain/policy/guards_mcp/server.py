"""A server of MCP, guarded: whatever a client asks of it is decided before the server sees it."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from brain.policy.guards import ActionDenied, Agent, Guard
from brain.policy.guards.denials import denial_text
from brain.policy.guards_mcp.arguments import MAX_DEPTH, UnknownArguments, check_values, prepared
from brain.policy.guards_mcp.deciding import RequestDecider, denied_by_fault, failures, log
from brain.policy.guards_mcp.installed import require_mcp
from brain.policy.guards_mcp.methods import (
    LIFECYCLE,
    LISTINGS,
    PASSED,
    ActionRequest,
    Listing,
    Malformed,
    Names,
    ToolActionChoice,
    action_requests,
    mapping_of,
    text_of,
)
from brain.policy.guards_mcp.schemas import ArgumentsRefused

if TYPE_CHECKING:
    from mcp.server import MCPServer, Server, ServerRequestContext
    from mcp.server.context import CallNext, HandlerResult

    from brain.policy.guards_mcp.tools import OwnTools

DENIED = -32001
"""The code of the JSON-RPC error that answers a denied request."""
_PAGES = 100  # of a list, at most, for one request


def guard_server(
    guard: Guard,
    server: MCPServer[Any] | Server[Any],
    *,
    agent: Agent | None = None,
    prefix: str = "",
    tool_action: ToolActionChoice = "both",
    unknown_arguments: UnknownArguments = "refuse",
    methods: Mapping[str, str] | None = None,
) -> None:
    """Decide every request that reaches `server`, before the server acts on it. Call it last, after other middleware.

    Each method of the protocol is an action (`mcp.tool.call`, `mcp.resource.read`, ...); the resource is the tool's or
    prompt's name, after `prefix`, or the uri. A tool's call is decided on the arguments that the tool will get; by
    `tool_action` its action is `mcp.tool.call`, the tool's name, or (`both`) either, by the rule of highest precedence.
    Lists show what the agent may use. `methods` gives the actions of an extension's methods; all others are denied.
    A denied tool's call is answered as the tool's error, which the model can read, everything else by error -32001.
    Raises InvalidInput when the installed `mcp` is not of release 2.
    """
    require_mcp()
    names = Names(prefix, tool_action)
    gate = _Gate(RequestDecider(guard, agent), names, unknown_arguments, dict(methods or {}))
    from mcp.server import MCPServer

    if isinstance(server, MCPServer):
        from brain.policy.guards_mcp.tools import OwnTools

        gate.own_tools = OwnTools(server, gate.decider, names)
    server.middleware.append(gate)


class _Gate:
    """The middleware."""

    def __init__(
        self, decider: RequestDecider, names: Names, unknown: UnknownArguments, methods: Mapping[str, str]
    ) -> None:
        self.decider = decider
        self.own_tools: OwnTools | None = None
        self._names = names
        self._unknown = unknown
        self._methods = methods

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:
            return await self._notification(ctx, call_next)
        if ctx.method in PASSED:
            return await call_next(ctx)
        try:
            check_values(ctx.params or {}, MAX_DEPTH + 2)
        except ArgumentsRefused as error:
            return _refused(ctx, error)
        ctx = replace(ctx, params=copy.deepcopy(dict(ctx.params or {})))  # nobody else changes it while we ask
        if ctx.method == "tools/call":
            return await self._tool_call(ctx, call_next)
        if not _looked_up_by_the_sdk(ctx):
            await self._decide(ctx)
        if ctx.method in LISTINGS:
            return await self._listed(ctx, call_next, LISTINGS[ctx.method])
        return _private(ctx, await call_next(ctx)) if ctx.method == "resources/read" else await call_next(ctx)

    async def _notification(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method in LIFECYCLE:
            return await call_next(ctx)
        failures["mcp_notification_dropped"] += 1
        log.warning("a notification is not handed on", method=ctx.method)
        return None

    async def _decide(self, ctx: ServerRequestContext[Any, Any]) -> None:
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS

        try:
            for request in await self._requests(ctx):
                await self.decider.check(request)
        except Malformed as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from None
        except ActionDenied as denied:
            raise MCPError(code=DENIED, message=denial_text(denied), data=denied.ids()) from None
        except Exception as error:  # noqa: BLE001  (as in `_tool_call`)
            fault = denied_by_fault("mcp_not_decided", ctx.method, error)
            raise MCPError(code=DENIED, message=denial_text(fault), data=fault.ids()) from None

    async def _requests(self, ctx: ServerRequestContext[Any, Any]) -> list[ActionRequest]:
        params = ctx.params or {}
        if ctx.method == "prompts/get" and self.own_tools is not None:
            params = {**params, "arguments": self.own_tools.prompt_arguments(params)}
        found = action_requests(ctx.method, params, self._names)
        if found is None and ctx.method in self._methods:
            given = {name: value for name, value in params.items() if name != "_meta"}
            return [ActionRequest((self._methods[ctx.method],), params=given)]
        if found is None:
            raise denied_by_fault("mcp_unknown_method", ctx.method, LookupError("no action is known for the method"))
        return found

    # Tools

    async def _tool_call(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        try:
            run = await self._decided_call(ctx, call_next)
        except (ActionDenied, ArgumentsRefused) as error:
            return refusal(ctx.protocol_version, denial_text(error))
        except Malformed as error:
            return refusal(ctx.protocol_version, f"{ArgumentsRefused.title}: {error}")
        except Exception as error:  # noqa: BLE001  (what failed while deciding is not let through, nor passed on)
            return refusal(ctx.protocol_version, denial_text(denied_by_fault("mcp_not_decided", ctx.method, error)))
        return await run()

    async def _decided_call(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> Callable[[], Awaitable[HandlerResult]]:
        """What makes the call with the arguments that were decided on."""
        params = ctx.params or {}
        name, arguments = text_of(params, "name"), dict(mapping_of(params, "arguments"))
        check_values(arguments)
        own = self.own_tools
        if own is not None:
            decided = await own.decide(name, arguments)
            return lambda: own.run(decided, lambda: call_next(ctx))
        arguments = prepared(await self._schema(ctx, call_next, name), arguments, unknown=self._unknown)
        await self.decider.check(self._names.tool(name, arguments))
        return lambda: call_next(replace(ctx, params={**params, "arguments": arguments}))

    async def _schema(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext, name: str) -> Mapping[str, Any]:
        """The input schema that the server lists for the tool. Raises ArgumentsRefused when it lists none."""
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await _page(ctx, call_next, "tools/list", cursor)
            for tool in page.get("tools", ()):
                if tool.get("name") == name:
                    return tool["inputSchema"]  # type: ignore[no-any-return]
            if page.get("nextCursor") in (None, cursor):
                break
            cursor = page["nextCursor"]
        raise ArgumentsRefused(f"the server lists no tool {name!r}, so the arguments cannot be checked")

    # Lists

    async def _listed(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext, listing: Listing
    ) -> dict[str, Any]:
        """A page without the items that the agent may not use; the next one when nothing is left of it."""
        page = _wire(await call_next(ctx))
        seen: set[str] = set()
        while True:
            items = page.get(listing.key)
            if not isinstance(items, list):
                return page  # a result of an extension's, which is no list
            page[listing.key] = [item for item in items if await self._shown(listing, item)]
            cursor = page.get("nextCursor")
            if page[listing.key] or cursor is None or cursor in seen or len(seen) >= _PAGES:
                return _private(ctx, page)
            seen.add(cursor)
            page = await _page(ctx, call_next, ctx.method, cursor)

    async def _shown(self, listing: Listing, item: Mapping[str, Any]) -> bool:
        name = item.get(listing.field)
        return isinstance(name, str) and await self.decider.allows(self._names.item(listing, name))


def _refused(ctx: ServerRequestContext[Any, Any], error: ArgumentsRefused) -> dict[str, Any]:
    from mcp import MCPError
    from mcp_types import INVALID_PARAMS

    if ctx.method == "tools/call":
        return refusal(ctx.protocol_version, denial_text(error))
    raise MCPError(code=INVALID_PARAMS, message=denial_text(error)) from None


async def _page(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext, method: str, cursor: str | None
) -> dict[str, Any]:
    params = {"_meta": dict((ctx.params or {}).get("_meta") or {})}
    more = {"cursor": cursor} if cursor is not None else {}
    return _wire(await call_next(replace(ctx, method=method, params={**params, **more})))


def _wire(result: HandlerResult) -> dict[str, Any]:
    """A result as it is sent."""
    if result is None or isinstance(result, dict):
        return dict(result or {})
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


def _private(ctx: ServerRequestContext[Any, Any], result: HandlerResult) -> dict[str, Any]:
    """The result, marked so that no client keeps it for another agent or for later."""
    page = _wire(result)
    if _is_modern(ctx.protocol_version):
        page.update(ttlMs=0, cacheScope="private")
    return page


def _is_modern(protocol_version: str) -> bool:
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

    return protocol_version in MODERN_PROTOCOL_VERSIONS


def _looked_up_by_the_sdk(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the SDK itself lists tools for a call over HTTP that has arguments, to check the call's headers.

    The client never sees that list. The SDK refuses a request of this era whose header names another method.
    """
    if ctx.method != "tools/list" or not _is_modern(ctx.protocol_version):
        return False
    headers = getattr(ctx.request, "headers", None)
    return isinstance(headers, Mapping) and headers.get("mcp-method") == "tools/call"


def refusal(protocol_version: str, text: str) -> dict[str, Any]:
    """A tool's error that the model can read, as the protocol version has it."""
    from mcp_types import CallToolResult, TextContent
    from mcp_types.methods import serialize_server_result

    result = CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
    return serialize_server_result("tools/call", protocol_version, _wire(result))
