"""Servers of the Model Context Protocol that use all of it, and what was asked of them. Run as a script: over stdio."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp import Client
from mcp.server import MCPServer, Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from pydantic import ConfigDict, TypeAdapter

from brain.policy import Condition, Guard, PolicyEngine, Rule
from brain.policy.guards_mcp import guard_server
from brain.testing import RecordingStream
from support.waiting import until

REFUND = {
    "type": "object",
    "properties": {"amount": {"type": "number"}, "currency": {"type": "string", "default": "GBP"}},
    "required": ["amount"],
}
TASK = {"taskId": "t1"}
CONNECTING = ("mcp.initialize", "mcp.discover")

# method, params, and what has to be decided: action, resource
REQUESTS: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("tools/list", {}, "mcp.tool.list", None),
    ("tools/call", {"name": "refund", "arguments": {"amount": 5}}, "mcp.tool.call", "refund"),
    ("resources/list", {}, "mcp.resource.list", None),
    ("resources/templates/list", {}, "mcp.resource.template.list", None),
    ("resources/read", {"uri": "memo://a"}, "mcp.resource.read", "memo://a"),
    ("prompts/list", {}, "mcp.prompt.list", None),
    ("prompts/get", {"name": "greet", "arguments": {"who": "Ann"}}, "mcp.prompt.get", "greet"),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "who", "value": "A"}},
        "mcp.completion",
        "greet",
    ),
    (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "memo://{name}"}, "argument": {"name": "name", "value": "a"}},
        "mcp.completion",
        "memo://{name}",
    ),
    ("tasks/get", TASK, "mcp.task.get", "t1"),
    ("tasks/list", {}, "mcp.task.list", None),
    ("tasks/result", TASK, "mcp.task.result", "t1"),
    ("tasks/cancel", TASK, "mcp.task.cancel", "t1"),
    ("tasks/update", {**TASK, "inputResponses": {}}, "mcp.task.update", "t1"),
]
OF_2025: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("resources/subscribe", {"uri": "memo://a"}, "mcp.resource.subscribe", "memo://a"),
    ("resources/unsubscribe", {"uri": "memo://a"}, "mcp.resource.unsubscribe", "memo://a"),
    ("logging/setLevel", {"level": "error"}, "mcp.logging.set_level", None),
]
LISTEN = (
    "subscriptions/listen",
    {"notifications": {"resourceSubscriptions": ["memo://a", "memo://b"]}},
    "mcp.subscription.listen",
    "memo://a",
)
VENDOR = ("vendor/reindex", {"depth": 3})


class Anything(types.RequestParams):
    """Params of any shape."""

    model_config = ConfigDict(extra="allow")


def everything(reached: list[tuple[str, Any]]) -> Server[Any]:
    """A low-level server with a handler for every method, each of which notes what it was asked."""

    def noted(method: str, answer: Any) -> Any:
        async def handler(ctx: Any, params: Any) -> Any:
            reached.append((method, params.model_dump(by_alias=True, exclude_none=True, exclude={"meta"})))
            return answer(params) if callable(answer) else answer

        return handler

    tool = types.Tool(name="refund", input_schema=REFUND)
    lists: dict[str, Any] = {
        "tools/list": types.ListToolsResult(tools=[tool, types.Tool(name="close", input_schema={"type": "object"})]),
        "resources/list": types.ListResourcesResult(
            resources=[types.Resource(name=name, uri=f"memo://{name}") for name in ("a", "b")]
        ),
        "resources/templates/list": types.ListResourceTemplatesResult(
            resource_templates=[types.ResourceTemplate(name="memo", uri_template="memo://{name}")]
        ),
        "prompts/list": types.ListPromptsResult(prompts=[types.Prompt(name="greet"), types.Prompt(name="insult")]),
        "tasks/list": {"tasks": [{"taskId": "t1"}, {"taskId": "t2"}]},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server: Server[Any] = Server("everything")
    bus = ListenHandler(InMemorySubscriptionBus())

    async def listen(ctx: Any, params: types.SubscriptionsListenRequestParams) -> Any:
        reached.append(("subscriptions/listen", params.model_dump(by_alias=True, exclude_none=True)))
        return await bus(ctx, params)

    server.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, listen)
    answers: dict[str, tuple[Any, Any]] = {
        "tools/call": (types.CallToolRequestParams, lambda params: _text(params.arguments)),
        "resources/read": (
            types.ReadResourceRequestParams,
            lambda params: types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text="memo")]),
        ),
        "resources/subscribe": (types.SubscribeRequestParams, types.EmptyResult()),
        "resources/unsubscribe": (types.UnsubscribeRequestParams, types.EmptyResult()),
        "prompts/get": (types.GetPromptRequestParams, types.GetPromptResult(messages=[])),
        "completion/complete": (
            types.CompleteRequestParams,
            types.CompleteResult(completion=types.Completion(values=["Ann"])),
        ),
        "logging/setLevel": (types.SetLevelRequestParams, types.EmptyResult()),
        **{method: (types.PaginatedRequestParams, answer) for method, answer in lists.items()},
        **{f"tasks/{verb}": (Anything, {"taskId": "t1"}) for verb in ("get", "result", "cancel", "update")},
        "vendor/reindex": (Anything, {"done": True}),
    }
    for method, (params_type, answer) in answers.items():
        server.add_request_handler(method, params_type, noted(method, answer))
    return server


def _text(value: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=json.dumps(value))])


def own(reached: list[tuple[str, Any]]) -> MCPServer[Any]:
    """An MCPServer with tools, resources, a template, prompts and completion."""
    server: MCPServer[Any] = MCPServer("own", log_level="CRITICAL")

    @server.tool()
    def refund(amount: float, currency: str = "GBP", tags: list[str] | None = None) -> str:
        reached.append(("tools/call", {"amount": amount, "currency": currency, "tags": tags}))
        return f"refunded {amount} {currency}"

    @server.tool()
    async def close(account: str = "main") -> str:
        reached.append(("tools/call", {"account": account}))
        return f"closed {account}"

    @server.resource("memo://a")
    def memo_a() -> str:
        reached.append(("resources/read", "memo://a"))
        return "a"

    @server.resource("memo://{name}")
    def memo(name: str) -> str:
        reached.append(("resources/read", f"memo://{name}"))
        return name

    @server.prompt()
    def greet(who: str, times: int = 1) -> str:
        reached.append(("prompts/get", {"who": who, "times": times}))
        return f"Greet {who} {times} times"

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> types.Completion:
        reached.append(("completion/complete", argument.name))
        return types.Completion(values=["Ann"])

    return server


def rule(name: str, effect: str, *conditions: tuple[str, str, Any], **more: Any) -> Rule:
    """A rule of those conditions, with its name as its id."""
    return Rule(id=name, name=name, effect=effect, conditions=[Condition(*one) for one in conditions], **more)


def engine_of(*rules: Rule, default: str = "DENY") -> tuple[PolicyEngine, RecordingStream]:
    """An engine with these rules, by which everybody may connect, and the stream that it writes to."""
    stream = RecordingStream()
    engine = PolicyEngine(stream, default_effect=default)
    engine.add_rule(rule("connect", "ALLOW", ("action", "in", list(CONNECTING)), priority=1000))
    for each in rules:
        engine.add_rule(each)
    return engine, stream


def decided(stream: RecordingStream) -> list[tuple[str, str | None]]:
    """Action and resource of every decision so far, but for those on connecting."""
    events = stream.get_events_by_type("policy.rule_evaluated")
    pairs = [(event.payload["action"], event.payload["resource"]) for event in events]
    return [pair for pair in pairs if pair[0] not in CONNECTING]


async def send(client: Client, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Any request at all, and its result as it came over the wire."""
    request = types.Request[dict[str, Any], str](method=method, params=dict(params))
    return await client.session.send_request(request, TypeAdapter(dict[str, Any]))


@asynccontextmanager
async def over_http(server: Any) -> AsyncIterator[str]:
    """The server behind a real socket; its URL."""
    import asyncio

    import uvicorn

    app = server.streamable_http_app()
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="on"))
    task = asyncio.create_task(running.serve())
    try:
        await until(lambda: running.started)
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        running.should_exit = True
        await task


def main() -> None:
    """A guarded server over stdio: argv names which, and the file for what reached it; refunds over 500 are denied."""
    import anyio
    from mcp.server.stdio import stdio_server

    kind, path = sys.argv[1:3]
    reached: list[tuple[str, Any]] = []
    engine, _ = engine_of(
        rule("all", "ALLOW", ("agent_id", "==", os.environ.get("BRAIN_TEST_AGENT", "a1"))),
        rule("large", "DENY", ("params.amount", ">", 500), priority=5),
        rule("insults", "DENY", ("resource", "==", "insult"), priority=5),
    )
    made: Any = everything(reached) if kind == "everything" else own(reached)
    guard_server(Guard(engine, agent="a1"), made)
    low: Server[Any] = made if kind == "everything" else made._lowlevel_server

    async def run() -> None:
        async with stdio_server() as (read, write):
            await low.run(read, write, low.create_initialization_options())

    anyio.run(run)
    with open(path, "w") as file:
        json.dump(reached, file)


if __name__ == "__main__":
    main()
