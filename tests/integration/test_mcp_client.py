"""A guarded client of the Model Context Protocol, before servers that know nothing of policies."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
import pytest
from mcp import Client

from brain.policy import ActionDenied, Guard, Rule
from brain.policy.guards_mcp import GuardedClient
from brain.policy.guards_mcp.schemas import ArgumentsRefused
from support.mcp_servers import decided, engine_of, everything, over_http, own, rule

ERAS = {"2025": "legacy", "2026": "auto"}
ALL = rule("all", "ALLOW", ("agent_id", "==", "a1"))
LARGE = rule("large", "DENY", ("params.amount", ">", 500), priority=5)
GREET = types.PromptReference(type="ref/prompt", name="greet")


@asynccontextmanager
async def guarded(
    server: Any, era: str, *rules: Rule, wire: str = "memory", session: bool = False, **options: Any
) -> AsyncIterator[tuple[GuardedClient, Any]]:
    """A guarded client of the server, or a guarded session, and the stream of its decisions."""
    engine, stream = engine_of(*rules)
    guard = Guard(engine, agent="a1")
    if wire == "memory":
        async with Client(server, mode=ERAS[era]) as client:
            yield GuardedClient(guard, client.session if session else client, **options), stream
    else:
        async with over_http(server) as url, Client(url, mode=ERAS[era]) as client:
            yield GuardedClient(guard, client.session if session else client, **options), stream
    engine.close()


async def use_all(agent: GuardedClient, era: str) -> list[tuple[str, str | None, Any]]:
    """Every method, with the action and resource that it has to be decided as, and what calls it."""
    calls: list[tuple[str, str | None, Any]] = [
        ("mcp.tool.list", None, agent.list_tools),
        ("mcp.tool.call", "refund", lambda: agent.call_tool("refund", {"amount": 5})),
        ("mcp.resource.list", None, agent.list_resources),
        ("mcp.resource.template.list", None, agent.list_resource_templates),
        ("mcp.resource.read", "memo://a", lambda: agent.read_resource("memo://a")),
        ("mcp.prompt.list", None, agent.list_prompts),
        ("mcp.prompt.get", "greet", lambda: agent.get_prompt("greet", {"who": "Ann"})),
        ("mcp.completion", "greet", lambda: agent.complete(GREET, {"name": "who", "value": "A"})),
    ]
    if era == "2025":
        calls += [
            ("mcp.resource.subscribe", "memo://a", lambda: agent.subscribe_resource("memo://a")),
            ("mcp.resource.unsubscribe", "memo://a", lambda: agent.unsubscribe_resource("memo://a")),
            ("mcp.logging.set_level", None, lambda: agent.set_logging_level("error")),
        ]
    else:
        calls.append(("mcp.subscription.listen", "memo://a", lambda: _listened(agent)))
    return calls


async def _listened(agent: GuardedClient) -> None:
    async with agent.listen(resource_subscriptions=["memo://a"]) as subscription:
        assert subscription.honored is not None


@pytest.mark.parametrize("session", [False, True])
@pytest.mark.parametrize("wire", ["memory", "http"])
@pytest.mark.parametrize("era", ERAS)
async def test_each_method_asks_once(era: str, wire: str, session: bool) -> None:
    reached: list[tuple[str, Any]] = []
    async with guarded(everything(reached), era, ALL, wire=wire, session=session) as (agent, stream):
        for action, resource, call in await use_all(agent, era):
            if session and action == "mcp.subscription.listen":
                continue  # a session has no `listen`
            before = len(decided(stream))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                await call()
            assert decided(stream)[before:] == [(action, resource)]
        methods = {method for method, _ in reached}
        assert methods >= {"tools/call", "resources/read", "prompts/get", "completion/complete", "tools/list"}


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_that_is_denied_is_sent(era: str) -> None:
    reached: list[tuple[str, Any]] = []
    async with guarded(everything(reached), era) as (agent, stream):
        for action, _, call in (await use_all(agent, era)) * 5:
            with pytest.raises(ActionDenied, match="no rule matches"):
                await call()
            assert decided(stream)[-1][0] == action
    assert {method for method, _ in reached} <= {"tools/list"}, "a tool's schema is looked up first"


@pytest.mark.parametrize(
    "name", ["session", "send_request", "send_notification", "adopt", "send_discover", "dispatch_input_request", "new"]
)
async def test_what_no_rule_could_decide_is_refused(name: str) -> None:
    for session in (False, True):
        async with guarded(everything([]), "2025", ALL, session=session) as (agent, _):
            with pytest.raises(AttributeError, match=f"{name}: a GuardedClient has no such method"):
                getattr(agent, name)
            assert agent.protocol_version == "2025-11-25"
            assert agent.server_capabilities.tools is not None


async def test_every_method_of_the_clients_is_decided_or_refused() -> None:
    """A method that a later release adds is refused until a rule can decide it."""
    from mcp import ClientSession

    from brain.policy.guards_mcp.client import _PASSED

    public = {name for kind in (Client, ClientSession) for name in dir(kind) if not name.startswith("_")}
    decided_here = {name for name in vars(GuardedClient) if not name.startswith("_")}
    assert decided_here - public == set()
    assert public >= _PASSED
    engine, _ = engine_of(ALL)
    agent = GuardedClient(Guard(engine, agent="a1"), object())
    for name in public - decided_here - _PASSED:
        assert not hasattr(agent, name)
    engine.close()


@pytest.mark.parametrize("era", ERAS)
async def test_the_arguments_that_are_sent_are_those_decided_on(era: str) -> None:
    reached: list[tuple[str, Any]] = []
    async with guarded(everything(reached), era, ALL, LARGE) as (agent, stream):
        await agent.call_tool("refund", {"amount": 5})
        ran = [params["arguments"] for method, params in reached if method == "tools/call"]
        payload = stream.get_events_by_type("policy.rule_evaluated")[-1].payload
        assert ran == [{"amount": 5, "currency": "GBP"}] == [payload["params"]]
        with pytest.raises(ActionDenied, match="large"):
            await agent.call_tool("refund", {"amount": 900})
        for arguments in ({"amount": "900"}, {"amount": True}, {"amount": float("inf")}, {"amount": 5, "Amount": 900}):
            with pytest.raises(ArgumentsRefused):
                await agent.call_tool("refund", arguments)
        with pytest.raises(ArgumentsRefused, match="lists no tool 'other'"):
            await agent.call_tool("other", {})
    assert len([method for method, _ in reached if method == "tools/call"]) == 1


async def test_a_server_of_pydantics_cannot_convert_what_was_decided() -> None:
    """`own` is an MCPServer without a guard: left to itself it turns "900" into 900 and "null" into nothing."""
    reached: list[tuple[str, Any]] = []
    async with guarded(own(reached), "2026", ALL, LARGE) as (agent, _):
        for arguments in ({"amount": "900"}, {"amount": 5, "tags": '["x"]'}, {"amount": 5, "tags": "null"}):
            with pytest.raises(ArgumentsRefused):
                await agent.call_tool("refund", arguments)
        assert not (await agent.call_tool("refund", {"amount": 5})).is_error
        payload = {"amount": 5.0, "currency": "GBP", "tags": None}
        assert reached == [("tools/call", payload)]


@pytest.mark.parametrize("session", [False, True])
async def test_lists_show_what_the_agent_may_use(session: bool) -> None:
    server = everything([])

    async def pages(ctx: Any, params: types.PaginatedRequestParams) -> types.ListToolsResult:
        place = int(params.cursor or 0)
        tool = types.Tool(name=f"t{place}", input_schema={"type": "object"})
        return types.ListToolsResult(tools=[tool], next_cursor=str(place + 1) if place < 5 else None)

    server.add_request_handler("tools/list", types.PaginatedRequestParams, pages)
    some = rule("some", "DENY", ("resource", "in", ["t0", "t1", "t3", "memo://b", "insult"]), priority=5)
    async with guarded(server, "2025", ALL, some, session=session) as (agent, _):
        page = await agent.list_tools()
        assert ([tool.name for tool in page.tools], page.next_cursor) == (["t2"], "3")
        assert [resource.uri for resource in (await agent.list_resources()).resources] == ["memo://a"]
        assert [prompt.name for prompt in (await agent.list_prompts()).prompts] == ["greet"]
        assert len((await agent.list_resource_templates()).resource_templates) == 1
        assert not (await agent.call_tool("t5")).is_error
        with pytest.raises(ActionDenied):
            await agent.call_tool("t3")


async def test_each_uri_of_a_subscription_is_decided() -> None:
    reached: list[tuple[str, Any]] = []
    secret = rule("secret", "DENY", ("resource", "==", "memo://b"), priority=5)
    async with guarded(everything(reached), "2026", ALL, secret) as (agent, _):
        with pytest.raises(ActionDenied, match="secret"):
            async with agent.listen(resource_subscriptions=["memo://a", "memo://b"]):
                pass
    assert reached == []


async def test_rules_by_the_tools_own_name() -> None:
    own_name = rule("d", "DENY", ("action", "==", "shop.refund"), priority=5)
    async with guarded(everything([]), "2026", ALL, own_name, prefix="shop.") as (agent, stream):
        with pytest.raises(ActionDenied, match="'d'"):
            await agent.call_tool("refund", {"amount": 1})
        assert decided(stream) == [("shop.refund", "shop.refund")]
