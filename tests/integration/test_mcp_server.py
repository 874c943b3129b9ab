"""Guarded servers of the Model Context Protocol: the real package, both eras, in memory, over HTTP and over stdio."""

from __future__ import annotations

import itertools
import json
import os
import posixpath
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server import MCPServer
from mcp.server.mcpserver.resources import ResourceSecurity
from pydantic import BaseModel, Field

from brain.policy import Guard, Rule
from brain.policy.guards_mcp import guard_server
from brain.policy.guards_mcp.deciding import failures
from support.mcp_servers import (
    LISTEN,
    OF_2025,
    REQUESTS,
    VENDOR,
    decided,
    engine_of,
    everything,
    over_http,
    own,
    rule,
    send,
)
from support.sizes import sizes

ERAS = {"2025": "legacy", "2026": "auto"}
Era = str
ALL = rule("all", "ALLOW", ("agent_id", "==", "a1"))


def calls(stream: Any) -> list[dict[str, Any]]:
    """The params of every tool's call that was decided."""
    payloads = [event.payload for event in stream.get_events_by_type("policy.rule_evaluated")]
    return [payload["params"] for payload in payloads if payload["action"] == "mcp.tool.call"]


def requests_of(era: Era) -> list[tuple[str, dict[str, Any], str, str | None]]:
    return [*REQUESTS, *(OF_2025 if era == "2025" else [])]


@asynccontextmanager
async def guarded(
    server: Any, era: Era, *rules: Rule, wire: str = "memory", agent: str = "a1", **options: Any
) -> AsyncIterator[tuple[Client, Any]]:
    """A client of the guarded server, and the stream of its decisions."""
    default = options.pop("default", "DENY")
    engine, stream = engine_of(*rules, default=default)
    guard_server(Guard(engine, agent=agent, on_approval="raise"), server, **options)
    if wire == "memory":
        async with Client(server, mode=ERAS[era]) as client:
            yield client, stream
    else:
        async with over_http(server) as url, Client(url, mode=ERAS[era]) as client:
            yield client, stream
    engine.close()


@pytest.mark.parametrize("wire", ["memory", "http"])
@pytest.mark.parametrize("era", ERAS)
async def test_each_method_is_decided_once(era: Era, wire: str) -> None:
    reached: list[tuple[str, Any]] = []
    async with guarded(everything(reached), era, ALL, wire=wire) as (client, stream):
        for method, params, action, resource in requests_of(era):
            before, seen = len(decided(stream)), len(reached)
            result = await send(client, method, params)
            assert decided(stream)[before:] == [(action, resource)], method
            assert reached[seen:][-1][0] == method
            assert not result.get("isError")


async def test_each_uri_of_a_subscription_is_decided() -> None:
    reached: list[tuple[str, Any]] = []
    secret = rule("secret", "DENY", ("action", "==", "mcp.resource.subscribe"), ("resource", "==", "memo://b"))
    async with guarded(everything(reached), "2026", ALL, secret) as (client, stream):
        async with client.listen(resource_subscriptions=["memo://a", "memo://c"]) as subscription:
            assert subscription.honored is not None
        assert decided(stream) == [("mcp.subscription.listen", "memo://a"), ("mcp.subscription.listen", "memo://c")]
        with pytest.raises(MCPError, match="secret") as caught:
            await send(client, *LISTEN[:2])
        assert caught.value.error.data == {"rule_id": "secret", "approval_id": None}
        async with client.listen(tools_list_changed=True):
            assert decided(stream)[-1] == ("mcp.subscription.listen", None)
    assert [method for method, _ in reached] == ["subscriptions/listen"] * 2


@pytest.mark.parametrize("wire", ["memory", "http"])
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("calls", sizes(25, 125))  # in all of its cases 200 and 1,000
async def test_none_of_many_denied_calls_reaches_the_server(era: Era, wire: str, calls: int) -> None:
    for make in (everything, own):
        reached: list[tuple[str, Any]] = []
        denied = 0
        async with guarded(make(reached), era, wire=wire) as (client, stream):
            known = [*requests_of(era), *([LISTEN] if era == "2026" else [])]
            wanted = [(method, params) for method, params, _, _ in known] + [VENDOR, ("no/such", {})]
            for method, params in itertools.islice(itertools.cycle(wanted), calls):
                if method == "tools/call":
                    result = await send(client, method, params)
                    assert result["isError"]
                    assert result["content"][0]["text"].startswith("Action denied: denied by default")
                else:
                    with pytest.raises(MCPError) as caught:
                        await send(client, method, params)
                    assert caught.value.error.code == -32001
                    assert set(caught.value.error.data) == {"rule_id", "approval_id"}
                denied += 1
            assert {action for action, _ in decided(stream)} >= {action for _, _, action, _ in requests_of(era)}
        assert denied == calls >= len(wanted)
        # A low-level server is asked for its tools' schemas, nothing else.
        assert {method for method, _ in reached} <= {"tools/list"}


@pytest.mark.parametrize("era", ERAS)
async def test_connecting_is_decided(era: Era) -> None:
    action = {"2025": "mcp.initialize", "2026": "mcp.discover"}[era]
    server = everything([])
    engine, stream = engine_of(
        ALL, rule("no", "DENY", ("action", "in", ["mcp.initialize", "mcp.discover"]), priority=2000)
    )
    guard_server(Guard(engine, agent="a1"), server)
    with pytest.raises((MCPError, ExceptionGroup)) as caught:
        async with Client(server, mode=ERAS[era]):
            raise AssertionError("connected")
    assert "denied by rule 'no'" in str(_innermost(caught.value))
    actions = [event.payload["action"] for event in stream.get_events_by_type("policy.rule_evaluated")]
    assert action in actions
    engine.close()


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@pytest.mark.parametrize("era", ERAS)
async def test_lists_show_what_the_agent_may_use(era: Era) -> None:
    reached: list[tuple[str, Any]] = []
    hidden = [
        rule("close", "DENY", ("resource", "==", "close"), priority=5),
        rule("b", "DENY", ("resource", "==", "memo://b"), priority=5),
        rule("insult", "DENY", ("action", "==", "mcp.prompt.get"), ("resource", "==", "insult"), priority=5),
        rule("t2", "DENY", ("action", "==", "mcp.task.get"), ("resource", "==", "t2"), priority=5),
    ]
    async with guarded(everything(reached), era, ALL, *hidden) as (client, stream):
        tools, prompts = await client.list_tools(), await client.list_prompts()
        resources, templates = await client.list_resources(), await client.list_resource_templates()
        assert [tool.name for tool in tools.tools] == ["refund"]
        assert [prompt.name for prompt in prompts.prompts] == ["greet"]
        assert [resource.uri for resource in resources.resources] == ["memo://a"]
        assert [template.uri_template for template in templates.resource_templates] == ["memo://{name}"]
        assert (await send(client, "tasks/list", {}))["tasks"] == [{"taskId": "t1"}]
        assert len(decided(stream)) == 5, "a list is one decision, however many items it has"
        for listed in (tools, prompts, resources, templates):
            assert (listed.ttl_ms, listed.cache_scope) == (0, "private")
        assert (await client.call_tool("close", {})).is_error


async def test_what_no_rule_allows_is_not_listed() -> None:
    listing = rule("lists", "ALLOW", ("action", "matches", r"mcp\.\w+(\.template)?\.list$"))
    named = rule("one", "ALLOW", ("action", "==", "mcp.tool.call"), ("resource", "==", "close"))
    async with guarded(own([]), "2026", listing, named) as (client, _):
        assert [tool.name for tool in (await client.list_tools()).tools] == ["close"]
        assert (await client.list_resources()).resources == []
        assert (await client.list_prompts()).prompts == []


async def test_pages_that_the_filter_empties_are_passed_over() -> None:
    import mcp_types as types

    server = everything([])

    async def pages(ctx: Any, params: types.PaginatedRequestParams) -> types.ListToolsResult:
        place = int(params.cursor or 0)
        tool = types.Tool(name=f"t{place}", input_schema={"type": "object"})
        return types.ListToolsResult(tools=[tool], next_cursor=str(place + 1) if place < 5 else None)

    server.add_request_handler("tools/list", types.PaginatedRequestParams, pages)
    only = rule("some", "DENY", ("resource", "in", ["t0", "t1", "t3", "t5"]), priority=5)
    async with guarded(server, "2026", ALL, only) as (client, _):
        first = await client.list_tools()
        assert ([tool.name for tool in first.tools], first.next_cursor) == (["t2"], "3")
        second = await client.list_tools(cursor=first.next_cursor)
        assert ([tool.name for tool in second.tools], second.next_cursor) == (["t4"], "5")
        assert (await client.list_tools(cursor="5")).tools == []
        assert not (await client.call_tool("t4", {})).is_error


LARGE = rule("large", "DENY", ("params.amount", ">", 500), priority=5)
POUNDS = rule("pounds", "DENY", ("params.currency", "==", "GBP"), priority=5)
COERCED: list[tuple[dict[str, Any], str | None]] = [
    ({"amount": 900}, "large"),
    ({"amount": "900", "currency": "EUR"}, "large"),
    ({"amount": 9e2, "currency": "EUR"}, "large"),
    ({"amount": 5}, "pounds"),
    ({"amount": "5"}, "pounds"),
    ({"amount": True}, "pounds"),
    ({"amount": 5, "currency": "EUR", "tags": '["x"]'}, None),
    ({"amount": "7", "currency": "EUR"}, None),
]


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_of_ones_own_is_decided_on_what_it_gets(era: Era) -> None:
    reached: list[tuple[str, Any]] = []
    async with guarded(own(reached), era, ALL, LARGE, POUNDS) as (client, stream):
        for arguments, by in COERCED:
            before = len(calls(stream))
            result = await client.call_tool("refund", arguments)
            [params] = calls(stream)[before:]
            assert result.is_error == (by is not None), arguments
            if by is None:
                assert reached[-1] == ("tools/call", params)
            else:
                assert f"denied by rule {by!r}" in result.content[0].text
    assert [got["amount"] for _, got in reached] == [5.0, 7.0]


@pytest.mark.parametrize("era", ERAS)
async def test_a_low_level_servers_tool_gets_what_was_decided(era: Era) -> None:
    reached: list[tuple[str, Any]] = []
    async with guarded(everything(reached), era, ALL, LARGE) as (client, _):
        for arguments, place in [
            ({"amount": "900"}, "amount: '900' is not of type 'number'"),
            ({"amount": True}, "amount: True is not of type 'number'"),
            ({}, "'amount' is a required property"),
            ({"amount": 5, "Amount": 900}, "Amount: the tool has no such argument"),
        ]:
            result = await client.call_tool("refund", arguments)
            assert result.is_error
            assert place in result.content[0].text
        assert "denied by rule 'large'" in (await client.call_tool("refund", {"amount": 900})).content[0].text
        assert "lists no tool 'other'" in (await client.call_tool("other", {"amount": 1})).content[0].text
        assert [method for method, _ in reached if method == "tools/call"] == []
        await client.call_tool("refund", {"amount": 5})
        ran = [params for method, params in reached if method == "tools/call"]
        assert ran == [{"name": "refund", "arguments": {"amount": 5, "currency": "GBP"}}]


@pytest.mark.parametrize("written", ['{"amount": NaN}', '{"amount": 1e400}', '{"amount": {"a": -Infinity}}'])
async def test_numbers_that_are_not_finite_are_refused(written: str) -> None:
    for make in (everything, own):
        reached: list[tuple[str, Any]] = []
        async with guarded(make(reached), "2025", ALL) as (client, _):
            result = await client.call_tool("refund", json.loads(written))
            assert result.is_error
            assert [method for method, _ in reached if method == "tools/call"] == []


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_nested_too_deep_is_refused(era: str) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    for make in (everything, own):
        reached: list[tuple[str, Any]] = []
        async with guarded(make(reached), era, ALL) as (client, _):
            result = await client.call_tool("refund", {"amount": 5, "tags": deep})
            assert "nested more than" in result.content[0].text
            with pytest.raises(MCPError, match="nested more than"):
                await send(client, "resources/read", {"uri": "memo://a", "extra": deep})
        assert reached == []


class Line(BaseModel):
    price: float = Field(0, alias="unitPrice")


class Order(BaseModel):
    lines: list[Line] = []
    total: float = 0
    ceiling: float = Field(900, validation_alias="maxTotal")


async def test_rules_see_into_models_by_either_name_of_a_field() -> None:
    got: list[Order] = []
    server: MCPServer[Any] = MCPServer("orders", log_level="CRITICAL")

    @server.tool()
    def order(order: Order) -> str:
        got.append(order)
        return "ordered"

    cases: list[tuple[str, dict[str, Any], bool]] = [
        ("params.order.total", {"total": "501"}, False),
        ("params.order.total", {"total": 499}, True),
        ("params.order.maxTotal", {}, False),
        ("params.order.ceiling", {}, False),
        ("params.order.maxTotal", {"maxTotal": 5}, True),
    ]
    for field, arguments, allowed in cases:
        del got[:]
        async with guarded(server, "2026", ALL, rule("d", "DENY", (field, ">", 500), priority=5)) as (client, stream):
            result = await client.call_tool("order", {"order": arguments})
            assert (not result.is_error) is allowed
            assert len(got) == allowed
            await client.call_tool("order", {"order": json.dumps({"lines": [{"unitPrice": 7}], "maxTotal": 5})})
            assert calls(stream)[-1]["order"]["lines"] == [{"price": 7.0, "unitPrice": 7.0}]
            assert got[-1].lines[0].price == 7
        del server.middleware[-1]


async def test_a_prompt_is_decided_on_what_its_function_gets() -> None:
    reached: list[tuple[str, Any]] = []
    often = rule("often", "DENY", ("params.times", ">", 10), priority=5)
    once = rule("once", "DENY", ("params.times", "==", 1), ("params.who", "==", "Bob"), priority=5)
    async with guarded(own(reached), "2026", ALL, often, once) as (client, _):
        await client.get_prompt("greet", {"who": "Ann", "times": "5"})
        for arguments in ({"who": "Ann", "times": "50"}, {"who": "Bob"}):
            with pytest.raises(MCPError, match="denied by rule 'o") as caught:
                await client.get_prompt("greet", arguments)
            assert caught.value.error.code == -32001
        with pytest.raises(MCPError, match="times"):
            await client.get_prompt("greet", {"who": "Ann", "times": "often"})
    assert reached == [("prompts/get", {"who": "Ann", "times": 5})]


@pytest.mark.parametrize("make", [everything, own])
async def test_one_event_a_call_over_http(make: Any) -> None:
    reached: list[tuple[str, Any]] = []
    async with guarded(make(reached), "2026", ALL, wire="http") as (client, stream):
        for amount in range(5):
            assert not (await client.call_tool("refund", {"amount": amount})).is_error
        assert len(calls(stream)) == 5
        lists = len(decided(stream)) - 5
        assert lists <= 1, "the client's own list, but not those with which the SDK looks up schemas"


@pytest.mark.parametrize(
    ("era", "kind"),
    [
        ("2025", "own"),
        ("2026", "everything"),
        pytest.param("2025", "everything", marks=pytest.mark.long),
        pytest.param("2026", "own", marks=pytest.mark.long),
    ],
)
async def test_over_stdio(era: Era, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "reached.json"
    root = Path(__file__).parent.parent.parent
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root / 'tests'}"}
    arguments = ["-m", "support.mcp_servers", kind, str(path)]
    started = StdioServerParameters(command=sys.executable, args=arguments, env=env)
    async with Client(stdio_client(started), mode=ERAS[era]) as client:
        assert (await client.call_tool("refund", {"amount": 5})).content[0].text
        denied = await client.call_tool("refund", {"amount": 900})
        assert denied.content[0].text.startswith("Action denied: denied by rule 'large'")
        with pytest.raises(MCPError, match="denied by rule 'insults'") as caught:
            await client.get_prompt("insult", {})
        assert caught.value.error.code == -32001
        assert caught.value.error.data == {"rule_id": "insults", "approval_id": None}
        await client.read_resource("memo://a")
    reached = json.loads(path.read_text())
    assert [method for method, _ in reached if method != "tools/list"] == ["tools/call", "resources/read"]


# Names

# The client lists a server's tools when one has answered, to check the answer by the tool's schema.
LISTING = rule("listing", "ALLOW", ("action", "==", "mcp.tool.list"), priority=1000)


async def test_rules_hold_by_either_name_of_a_tool() -> None:
    cases: list[tuple[list[Rule], bool]] = [
        ([rule("a", "ALLOW", ("action", "==", "mcp.tool.call"), ("resource", "==", "shop.close"))], True),
        ([rule("a", "ALLOW", ("action", "==", "shop.close"))], True),
        ([rule("a", "ALLOW", ("action", "matches", r"shop\..*"))], True),
        ([rule("a", "ALLOW", ("action", "matches", r"mcp\.tool\..*"))], True),
        ([ALL, rule("d", "DENY", ("action", "==", "mcp.tool.call"), priority=1)], False),
        ([ALL, rule("d", "DENY", ("action", "==", "shop.close"), priority=1)], False),
        ([ALL, rule("d", "DENY", ("action", "==", "shop.close"))], False),
        ([ALL, rule("d", "DENY", ("action", "==", "mcp.tool.call"), priority=-5)], True),
        ([rule("d", "DENY", priority=-9), rule("a", "ALLOW", ("action", "==", "shop.close"))], True),
        # What merely fails to exclude one of the names does not allow the call.
        ([rule("a", "ALLOW", ("action", "!=", "shop.close"))], False),
        ([rule("a", "ALLOW", ("action", "!=", "mcp.tool.call"))], False),
        ([rule("a", "ALLOW", ("action", "matches", "[^s].*"))], False),
        ([rule("a", "ALLOW", ("action", "contains", "tool"))], False),
        ([rule("a", "ALLOW", ("action", "contains", "close"))], True),
        ([rule("a", "ALLOW", ("action", "contains", "mcp.tool"))], True),
        ([rule("a", "ALLOW", ("action", "<", "n"))], False),
        ([rule("a", "ALLOW", ("action", "!=", "shop.other"))], True),
        (
            [
                rule("a", "ALLOW", ("action", "!=", "shop.close"), priority=9),
                rule("d", "DENY", ("action", "==", "mcp.tool.call"), priority=5),
                rule("b", "ALLOW", ("action", "==", "shop.close")),
            ],
            False,
        ),
    ]
    for rules, allowed in cases:
        reached: list[tuple[str, Any]] = []
        async with guarded(own(reached), "2026", LISTING, *rules, prefix="shop.") as (client, stream):
            result = await client.call_tool("close", {})
            assert (not result.is_error) is allowed, rules
            assert len(reached) == allowed
            assert len([pair for pair in decided(stream) if pair[0] != "mcp.tool.list"]) <= 1


async def test_the_name_of_a_tool_can_be_chosen() -> None:
    first = rule("a", "ALLOW", ("action", "!=", "refund"))
    async with guarded(own([]), "2026", LISTING, first, tool_action="name") as (client, stream):
        assert not (await client.call_tool("close", {})).is_error
        assert decided(stream)[0] == ("close", "close")
        assert (await client.call_tool("refund", {"amount": 1})).is_error
    only = rule("a", "ALLOW", ("action", "==", "close"))
    async with guarded(own([]), "2026", only, tool_action="mcp.tool.call") as (client, _):
        assert (await client.call_tool("close", {})).is_error


async def test_a_tool_cannot_be_named_as_an_action_of_ours() -> None:
    server = own([])
    server.add_tool(lambda: "ran", name="mcp.prompt.get")
    async with guarded(server, "2026", rule("a", "ALLOW", ("action", "==", "mcp.prompt.get"))) as (client, _):
        assert (await client.call_tool("mcp.prompt.get", {})).is_error


async def test_a_uri_is_decided_as_it_is_written_and_as_it_is_read() -> None:
    """`own` reads `memo://%73ecret` as its template's `secret`."""
    exact = ("resource", "==", "memo://a%20b")
    cases: list[tuple[list[Rule], str, bool]] = [
        ([ALL, rule("d", "DENY", ("resource", "==", "memo://secret"), priority=5)], "memo://secret", False),
        ([ALL, rule("d", "DENY", ("resource", "==", "memo://secret"), priority=5)], "memo://%73ecret", False),
        ([ALL, rule("d", "DENY", ("resource", "matches", "memo://sec"), priority=5)], "memo://s%65cret", False),
        ([ALL, rule("d", "DENY", ("resource", "==", "memo://%73ecret"), priority=5)], "memo://%73ecret", False),
        ([rule("a", "ALLOW", ("resource", "!=", "memo://secret"))], "memo://%73ecret", False),
        ([rule("a", "ALLOW", ("resource", "matches", "memo://[^s]"))], "memo://%73ecret", False),
        ([rule("a", "ALLOW", ("resource", "matches", "memo://[^s]"))], "memo://%61b", True),
        ([rule("a", "ALLOW", ("resource", "matches", "memo://"))], "memo://a%20b", True),
        ([rule("a", "ALLOW", exact)], "memo://a%20b", True),
        ([rule("a", "ALLOW", exact), rule("d", "DENY", ("resource", "==", "memo://a b"))], "memo://a%20b", False),
    ]
    for rules, uri, allowed in cases:
        reached: list[tuple[str, Any]] = []
        async with guarded(own(reached), "2026", *rules) as (client, stream):
            if allowed:
                await client.read_resource(uri)
                assert decided(stream) == [("mcp.resource.read", uri)]
            else:
                with pytest.raises(MCPError) as caught:
                    await client.read_resource(uri)
                assert caught.value.error.code == -32001
        assert len(reached) == allowed


@pytest.mark.parametrize(
    "path", ["secret/x", "secret//x", "./secret/x", "/secret/x", "%2e/secret/x", "a%2F..%2Fsecret/x"]
)
async def test_a_uri_is_decided_as_a_server_of_files_reads_it(path: str) -> None:
    server = own([])

    @server.resource("disk://d/{+path}", security=ResourceSecurity(exempt_params={"path"}))
    def read(path: str) -> str:
        return posixpath.normpath(f"/{path}")

    async with guarded(server, "2026", ALL) as (client, _):
        found = await client.read_resource(f"disk://d/{path}")
        assert found.contents[0].text.endswith("/secret/x")
    secret = rule("d", "DENY", ("resource", "matches", "disk://d/secret"), priority=5)
    async with guarded(server, "2026", ALL, secret) as (client, _):
        with pytest.raises(MCPError) as caught:
            await client.read_resource(f"disk://d/{path}")
        assert caught.value.error.code == -32001
        assert (await client.read_resource("disk://d/./open")).contents[0].text == "/open"


# Faults


async def test_an_approval_is_named_in_the_denial() -> None:
    ask = rule("ask", "AUDIT", ("agent_id", "==", "a1"), priority=5, metadata={"requires_approval": True})
    reached: list[tuple[str, Any]] = []
    async with guarded(own(reached), "2026", ALL, ask) as (client, _):
        result = await client.call_tool("close", {})
        assert result.content[0].text.startswith("Approval required: a person has to approve this (apr_")
        with pytest.raises(MCPError, match="Approval required") as caught:
            await client.read_resource("memo://a")
        assert caught.value.error.data["approval_id"].startswith("apr_")
        assert caught.value.error.data["rule_id"] == "ask"
    assert reached == []


@pytest.mark.parametrize("era", ERAS)
async def test_what_fails_while_deciding_is_a_denial(era: Era) -> None:
    def broken() -> dict[str, Any]:
        raise RuntimeError("secret of the host")

    for make in (everything, own):
        reached: list[tuple[str, Any]] = []
        server = make(reached)
        engine, _ = engine_of(ALL)
        working = Guard(engine, agent="a1")
        guard_server(working, server)
        async with Client(server, mode=ERAS[era]) as client:
            working._environment = broken
            before = sum(failures.values())
            result = await client.call_tool("refund", {"amount": 1})
            assert result.is_error
            assert "could not be decided" in result.content[0].text
            assert "secret" not in result.content[0].text
            with pytest.raises(MCPError, match="could not be decided") as caught:
                await client.read_resource("memo://a")
            assert caught.value.error.code == -32001
            assert "secret" not in str(caught.value)
            assert sum(failures.values()) >= before + 2
        engine.close()
        assert {method for method, _ in reached} <= {"tools/list"}


async def test_an_extensions_methods_can_be_named() -> None:
    reached: list[tuple[str, Any]] = []
    names = {"vendor/reindex": "search.reindex"}
    deep = rule("deep", "DENY", ("action", "==", "search.reindex"), ("params.depth", ">", 5), priority=5)
    async with guarded(everything(reached), "2026", ALL, deep, methods=names) as (client, stream):
        assert (await send(client, *VENDOR))["done"]
        assert decided(stream) == [("search.reindex", None)]
        with pytest.raises(MCPError, match="deep"):
            await send(client, "vendor/reindex", {"depth": 9})
    assert len(reached) == 1


async def test_calls_that_the_servers_own_code_makes_are_decided() -> None:
    from mcp.server.mcpserver.exceptions import ToolError

    reached: list[tuple[str, Any]] = []
    server = own(reached)

    @server.tool()
    async def twice(amount: float) -> str:
        await server.call_tool("refund", {"amount": amount})
        await server.call_tool("refund", {"amount": amount * 100})
        return "done"

    async with guarded(server, "2026", ALL, LARGE) as (client, stream):
        result = await client.call_tool("twice", {"amount": 100})
        assert result.is_error
        assert "denied by rule 'large'" in result.content[0].text
        assert [got["amount"] for _, got in reached] == [100]
        assert [params["amount"] for params in calls(stream)] == [100, 100, 10_000]
        with pytest.raises(ToolError, match="denied by rule 'large'"):
            await server.call_tool("refund", {"amount": 501})


async def test_tools_that_come_later_are_guarded() -> None:
    server = own([])
    async with guarded(server, "2026", ALL, LARGE) as (client, _):
        server.add_tool(lambda amount: "ran", name="late")
        assert (await client.call_tool("late", {"amount": 900})).is_error
        assert not (await client.call_tool("late", {"amount": 9})).is_error
