"""The methods of the protocol as actions: what each asks to do, to which resource, with which params."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote

from brain.policy.guards.paths import resolved

TOOL_CALL = "mcp.tool.call"
ToolActionChoice = Literal["both", "mcp.tool.call", "name"]
"""What the action of a tool's call is: `mcp.tool.call`, the tool's own name, or either."""

Form = tuple[str, str | None]
"""Action and resource."""

PASSED = frozenset({"ping"})
LIFECYCLE = frozenset(
    {
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
        "notifications/tasks/status",
    }
)


class Malformed(ValueError):
    """The request lacks what it is decided by; the message names the field."""


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What is decided on: `actions` and `resources` are the names that a rule may call it by, the usual ones first."""

    actions: tuple[str, ...]
    resources: tuple[str | None, ...] = (None,)
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def forms(self) -> list[Form]:
        """Each name of the action with each of the resource."""
        return [(action, resource) for action in self.actions for resource in self.resources]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that is shown item by item: the result's `key`, and what using an item would ask."""

    key: str
    field: str
    method: str


LISTINGS: Mapping[str, Listing] = {
    "tools/list": Listing("tools", "name", "tools/call"),
    "prompts/list": Listing("prompts", "name", "prompts/get"),
    "resources/list": Listing("resources", "uri", "resources/read"),
    "resources/templates/list": Listing("resourceTemplates", "uriTemplate", "resources/read"),
    "tasks/list": Listing("tasks", "taskId", "tasks/get"),
}


@dataclass(frozen=True, slots=True)
class Names:
    """How the names of one server's tools and prompts become resources and actions."""

    prefix: str = ""
    tool_action: ToolActionChoice = "both"

    def tool(self, name: str, arguments: Mapping[str, Any]) -> ActionRequest:
        """A tool's call. A name that looks like one of our actions is never an action."""
        own = f"{self.prefix}{name}"
        both = (TOOL_CALL,) if own.startswith("mcp.") else (TOOL_CALL, own)
        chosen = {"both": both, "mcp.tool.call": (TOOL_CALL,), "name": (own,)}[self.tool_action]
        return ActionRequest(chosen, (own,), arguments)

    def prompt(self, name: str, arguments: Mapping[str, Any]) -> ActionRequest:
        """The rendering of a prompt."""
        return ActionRequest(("mcp.prompt.get",), (f"{self.prefix}{name}",), arguments)

    def item(self, listing: Listing, name: str) -> ActionRequest:
        """The use of an item of a list, before its arguments are known."""
        if listing.method == "tools/call":
            return self.tool(name, {})
        if listing.method == "prompts/get":
            return self.prompt(name, {})
        if listing.method == "resources/read":
            return ActionRequest(("mcp.resource.read",), uri_forms(name))
        return ActionRequest(("mcp.task.get",), (name,))


def action_requests(method: str, params: Mapping[str, Any], names: Names) -> list[ActionRequest] | None:
    """All that a request asks for, each to be decided; None for an unknown method. Raises Malformed."""
    describe = _METHODS.get(method)
    return None if describe is None else list(describe(params, names))


DescribeRequest = Callable[[Mapping[str, Any], Names], Iterator[ActionRequest]]


def text_of(params: Mapping[str, Any], name: str) -> str:
    """The text under that name. Raises Malformed."""
    value = params.get(name)
    if not isinstance(value, str):
        raise Malformed(f"{name}: must be a text")
    return value


def mapping_of(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under that name, empty when it is absent. Raises Malformed."""
    value = params.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Malformed(f"{name}: must be an object")
    return value


def uri_forms(uri: str) -> tuple[str, ...]:
    """The uri as it is, and as a server may read it: with its %-signs decoded, and its path resolved."""
    decoded = unquote(uri, errors="replace")
    scheme, found, rest = decoded.partition("://")
    before, mark, query = rest.partition("?")
    host, slash, path = before.partition("/")
    read = f"{scheme}{found}{host}{resolved(slash + path)}{mark}{query}"
    return tuple(dict.fromkeys((uri, decoded, read)))


def _rest(params: Mapping[str, Any], *without: str) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name not in ("_meta", "cursor", *without)}


def _whole(action: str) -> DescribeRequest:
    def describe(params: Mapping[str, Any], names: Names) -> Iterator[ActionRequest]:
        yield ActionRequest((action,), (None,), _rest(params))

    return describe


def _of_uri(action: str) -> DescribeRequest:
    def describe(params: Mapping[str, Any], names: Names) -> Iterator[ActionRequest]:
        yield ActionRequest((action,), uri_forms(text_of(params, "uri")), _rest(params, "uri", "requestState"))

    return describe


def _of_task(action: str) -> DescribeRequest:
    def describe(params: Mapping[str, Any], names: Names) -> Iterator[ActionRequest]:
        yield ActionRequest((action,), (text_of(params, "taskId"),), _rest(params, "taskId", "requestState"))

    return describe


def _tool_call(params: Mapping[str, Any], names: Names) -> Iterator[ActionRequest]:
    yield names.tool(text_of(params, "name"), mapping_of(params, "arguments"))


def _prompt_get(params: Mapping[str, Any], names: Names) -> Iterator[ActionRequest]:
    yield names.prompt(text_of(params, "name"), mapping_of(params, "arguments"))


def _listen(params: Mapping[str, Any], names: Names) -> Iterator[ActionRequest]:
    """Each uri is a subscription of its own."""
    wanted = mapping_of(params, "notifications")
    uris = wanted.get("resourceSubscriptions")
    if uris is not None and not (isinstance(uris, list) and all(isinstance(uri, str) for uri in uris)):
        raise Malformed("notifications.resourceSubscriptions: must be a list of uris")
    if not uris:
        yield ActionRequest(("mcp.subscription.listen",), (None,), wanted)
    for uri in uris or ():
        yield ActionRequest(("mcp.subscription.listen", "mcp.resource.subscribe"), uri_forms(uri), wanted)


def _completion(params: Mapping[str, Any], names: Names) -> Iterator[ActionRequest]:
    """A completion shows what its prompt or template can hold, so a rule about using that is about it, too."""
    ref = mapping_of(params, "ref")
    if ref.get("type") == "ref/prompt":
        use, resource = "mcp.prompt.get", f"{names.prefix}{text_of(ref, 'name')}"
    else:
        use, resource = "mcp.resource.read", text_of(ref, "uri")
    yield ActionRequest(("mcp.completion", use), (resource,), _rest(params, "ref"))


_METHODS: Mapping[str, DescribeRequest] = {
    "initialize": _whole("mcp.initialize"),
    "server/discover": _whole("mcp.discover"),
    "tools/list": _whole("mcp.tool.list"),
    "tools/call": _tool_call,
    "resources/list": _whole("mcp.resource.list"),
    "resources/templates/list": _whole("mcp.resource.template.list"),
    "resources/read": _of_uri("mcp.resource.read"),
    "resources/subscribe": _of_uri("mcp.resource.subscribe"),
    "resources/unsubscribe": _of_uri("mcp.resource.unsubscribe"),
    "subscriptions/listen": _listen,
    "prompts/list": _whole("mcp.prompt.list"),
    "prompts/get": _prompt_get,
    "completion/complete": _completion,
    "logging/setLevel": _whole("mcp.logging.set_level"),
    "tasks/get": _of_task("mcp.task.get"),
    "tasks/result": _of_task("mcp.task.result"),
    "tasks/cancel": _of_task("mcp.task.cancel"),
    "tasks/update": _of_task("mcp.task.update"),
    "tasks/list": _whole("mcp.task.list"),
}
