"""An agent's client of MCP, guarded: what it asks of a server is decided before it is sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from brain.errors import InvalidInput
from brain.policy.guards import Agent, Guard
from brain.policy.guards_mcp.arguments import UnknownArguments, prepared
from brain.policy.guards_mcp.deciding import RequestDecider
from brain.policy.guards_mcp.installed import require_mcp
from brain.policy.guards_mcp.methods import LISTINGS, Names, ToolActionChoice, action_requests
from brain.policy.guards_mcp.schemas import ArgumentsRefused

_PAGES = 100  # of a list, at most, for one call
_SCHEMAS_LAST = 300.0  # seconds for which a tool's listed schema is used

_PASSED = frozenset(
    {
        "send_ping",
        "send_progress_notification",
        "send_roots_list_changed",
        "protocol_version",
        "server_info",
        "server_capabilities",
        "instructions",
        "initialize_result",
        "discover_result",
    }
)
"""What a client has that asks nothing of the server but whether it is there."""


class GuardedClient:
    """An MCP server as an agent sees it, guarded: each method asks first, and lists show what the agent may use.

    `client` is an `mcp.Client` or a ClientSession; `prefix`, `tool_action` and `unknown_arguments` are as for
    `guard_server`. A tool's arguments are completed and checked by its listed input schema, decided on, and sent so.
    What has no rule here (`session`, `send_request`, ...) is refused with AttributeError. The methods raise
    ActionDenied, and ArgumentsRefused (an InvalidInput) for arguments that do not fit the schema.
    """

    def __init__(
        self,
        guard: Guard,
        client: Any,
        *,
        agent: Agent | None = None,
        prefix: str = "",
        tool_action: ToolActionChoice = "both",
        unknown_arguments: UnknownArguments = "refuse",
    ) -> None:
        require_mcp()
        self._decider = RequestDecider(guard, agent)
        self._client = client
        self._names = Names(prefix, tool_action)
        self._unknown = unknown_arguments
        self._schemas: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._takes_params = isinstance(client, _session_type())  # a session's lists take `params`, a client's `cursor`

    # Tools

    async def call_tool(self, name: str, arguments: dict[str, Any] | None = None, *args: Any, **options: Any) -> Any:
        """Call the tool, when the policy allows it, with the arguments that were decided on."""
        schema = await self._schema(name)
        sent = prepared(schema, arguments or {}, unknown=self._unknown, remote=True)
        await self._decider.check(self._names.tool(name, sent))
        return await self._client.call_tool(name, sent, *args, **options)

    async def list_tools(self, **options: Any) -> Any:
        """The tools that the agent may call."""
        return await self._listed("tools/list", self._client.list_tools, options)

    async def _schema(self, name: str) -> Mapping[str, Any]:
        listed, schema = self._schemas.get(name, (0.0, {}))
        if not listed or time.monotonic() - listed > _SCHEMAS_LAST:
            self._schemas.clear()
            async for page in self._pages(self._client.list_tools, {}):
                self._note(page.tools)
            listed, schema = self._schemas.get(name, (0.0, {}))
        if not listed:
            raise ArgumentsRefused(f"the server lists no tool {name!r}, so the arguments cannot be checked")
        return schema

    def _note(self, tools: Iterable[Any]) -> None:
        now = time.monotonic()
        self._schemas.update({tool.name: (now, tool.input_schema) for tool in tools})

    # Resources

    async def read_resource(self, uri: str, **options: Any) -> Any:
        """Read the resource."""
        await self._decide("resources/read", uri=str(uri))
        return await self._client.read_resource(str(uri), **options)

    async def list_resources(self, **options: Any) -> Any:
        """The resources that the agent may read."""
        return await self._listed("resources/list", self._client.list_resources, options)

    async def list_resource_templates(self, **options: Any) -> Any:
        """The templates of resources that the agent may read."""
        return await self._listed("resources/templates/list", self._client.list_resource_templates, options)

    async def subscribe_resource(self, uri: str, **options: Any) -> Any:
        """Ask to hear of changes of the resource."""
        await self._decide("resources/subscribe", uri=str(uri))
        return await self._client.subscribe_resource(str(uri), **options)

    async def unsubscribe_resource(self, uri: str, **options: Any) -> Any:
        """End a subscription."""
        await self._decide("resources/unsubscribe", uri=str(uri))
        return await self._client.unsubscribe_resource(str(uri), **options)

    @asynccontextmanager
    async def listen(self, *, resource_subscriptions: Sequence[str] = (), **kinds: bool) -> AsyncIterator[Any]:
        """A stream of changes, once each of its uris is allowed."""
        uris = [str(uri) for uri in resource_subscriptions]
        wanted = {**kinds, **({"resourceSubscriptions": uris} if uris else {})}
        await self._decide("subscriptions/listen", notifications=wanted)
        async with self._client.listen(resource_subscriptions=uris, **kinds) as subscription:
            yield subscription

    # Prompts and the rest

    async def get_prompt(self, name: str, arguments: dict[str, str] | None = None, **options: Any) -> Any:
        """Render the prompt."""
        sent = dict(arguments or {})
        await self._decide("prompts/get", name=name, arguments=sent)
        return await self._client.get_prompt(name, sent if arguments is not None else None, **options)

    async def list_prompts(self, **options: Any) -> Any:
        """The prompts that the agent may render."""
        return await self._listed("prompts/list", self._client.list_prompts, options)

    async def complete(
        self, ref: Any, argument: dict[str, str], context_arguments: dict[str, str] | None = None
    ) -> Any:
        """Completions for an argument of a prompt or a template of resources."""
        ref, argument = ref.model_copy(), dict(argument)
        context = {"context": {"arguments": dict(context_arguments)}} if context_arguments is not None else {}
        await self._decide("completion/complete", ref=ref.model_dump(by_alias=True), argument=argument, **context)
        return await self._client.complete(ref, argument, context_arguments and dict(context_arguments))

    async def set_logging_level(self, level: Any, **options: Any) -> Any:
        """Choose which log messages the server sends."""
        await self._decide("logging/setLevel", level=level)
        return await self._client.set_logging_level(level, **options)

    async def initialize(self) -> Any:
        """Open the session, with a client that has to be asked to."""
        await self._decide("initialize")
        return await self._client.initialize()

    async def discover(self) -> Any:
        """Ask what the server is, with a client that has to be asked to."""
        await self._decide("server/discover")
        return await self._client.discover()

    def __getattr__(self, name: str) -> Any:
        if name in _PASSED:
            return getattr(self._client, name)
        raise AttributeError(
            f"{name}: a GuardedClient has no such method, because no rule could decide it; use its own"
        )

    # Deciding

    async def _decide(self, method: str, **params: Any) -> None:
        found = action_requests(method, params, self._names)
        if found is None:
            raise InvalidInput(f"{method}: no action is known for the method")
        for request in found:
            await self._decider.check(request)

    async def _listed(self, method: str, fetch: Callable[..., Awaitable[Any]], options: dict[str, Any]) -> Any:
        """The first page from the wanted one on that has anything for the agent, without what it may not use."""
        await self._decide(method)
        async for page in self._pages(fetch, options):
            shown = await self._shown(method, page)
            if next(iter(shown.values())) or page.next_cursor is None:
                break
        return page.model_copy(update=shown)

    async def _shown(self, method: str, page: Any) -> dict[str, list[Any]]:
        listing = LISTINGS[method]
        key, field = _snake(listing.key), _snake(listing.field)
        if method == "tools/list":
            self._note(page.tools)
        return {
            key: [
                item
                for item in getattr(page, key)
                if await self._decider.allows(self._names.item(listing, getattr(item, field)))
            ]
        }

    async def _pages(self, fetch: Callable[..., Awaitable[Any]], options: dict[str, Any]) -> AsyncIterator[Any]:
        """The list's pages from the wanted one on; ends at a cursor that comes back."""
        page = await fetch(**options)
        seen: set[str] = set()
        while True:
            yield page
            cursor = page.next_cursor
            if cursor is None or cursor in seen or len(seen) >= _PAGES:
                return
            seen.add(cursor)
            page = await fetch(**self._after(options, cursor))

    def _after(self, options: dict[str, Any], cursor: str) -> dict[str, Any]:
        """The options of the call for the next page."""
        if not self._takes_params:
            return {**options, "cursor": cursor}
        from mcp_types import PaginatedRequestParams

        given = options.get("params") or PaginatedRequestParams()
        return {**options, "params": given.model_copy(update={"cursor": cursor})}


def _session_type() -> type:
    from mcp import ClientSession

    return ClientSession


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
