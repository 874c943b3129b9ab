"""What a tool gets is what was decided: many schemas, many arguments, on a server's side and on a client's."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Literal

import mcp_types as types
import pytest
from mcp import Client
from mcp.server import MCPServer, Server

from brain.policy import Guard
from brain.policy.guards_mcp import GuardedClient, guard_server
from brain.policy.guards_mcp.schemas import ArgumentsRefused
from support.mcp_servers import engine_of, rule

ERAS = {"2025": "legacy", "2026": "auto"}
ALL = rule("all", "ALLOW", ("agent_id", "==", "a1"))
LARGE = rule("large", "DENY", ("params.a", ">", 500), priority=5)
SETS = 30  # of arguments for each schema
SCHEMAS = 20

VALUES: list[Callable[[Random], Any]] = [
    lambda random: random.choice([0, 1, 5, 499, 501, 900, 2**53, -1]),
    lambda random: random.choice([0.5, 1.0, 900.0, 1e300]),
    lambda random: random.choice(["", "5", "900", "true", "null", '["x"]', '{"b": 1}', "plain", "NaN", "1e400"]),
    lambda random: random.choice([True, False]),
    lambda random: None,
    lambda random: [random.choice([1, "x", None, 2.5]) for _ in range(random.randrange(3))],
    lambda random: {random.choice("abc"): random.choice([1, "900", None, [1]]) for _ in range(random.randrange(3))},
]


def any_value(random: Random) -> Any:
    return random.choice(VALUES)(random)


def any_schema(random: Random, depth: int = 2) -> dict[str, Any]:
    kinds: list[dict[str, Any]] = [
        {"type": "integer"},
        {"type": "number", "maximum": 1000},
        {"type": "string"},
        {"type": "boolean"},
        {"type": ["string", "null"]},
        {"enum": ["plain", 5, None]},
        {},
    ]
    if depth:
        kinds += [
            {"type": "array", "items": any_schema(random, depth - 1)},
            {"anyOf": [any_schema(random, depth - 1), any_schema(random, depth - 1)]},
            any_object(random, depth - 1),
        ]
    made = dict(random.choice(kinds))
    if random.random() < 0.4:
        made["default"] = fitting(random, made)
    return made


def fitting(random: Random, schema: dict[str, Any]) -> Any:
    """A value that mostly fits the schema."""
    if random.random() < 0.1:
        return any_value(random)
    if "anyOf" in schema:
        return fitting(random, random.choice(schema["anyOf"]))
    if "enum" in schema:
        return random.choice(schema["enum"])
    match schema.get("type"):
        case "integer":
            return random.choice([0, 1, 499, 501, 900])
        case "number":
            return random.choice([0, 0.5, 501, 900.0])
        case "string" | ["string", "null"]:
            return VALUES[2](random)
        case "boolean":
            return random.choice([True, False])
        case "array":
            return [fitting(random, schema["items"]) for _ in range(random.randrange(3))]
        case "object":
            return arguments_for(random, schema)
    return any_value(random)


def any_object(random: Random, depth: int = 2) -> dict[str, Any]:
    properties = {name: any_schema(random, depth) for name in "abcd"[: random.randrange(1, 5)]}
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if random.random() < 0.3:
        made["required"] = [random.choice(list(properties))]
    if random.random() < 0.3:
        made["additionalProperties"] = random.choice([True, False, {"type": "integer"}])
    return made


def arguments_for(random: Random, schema: dict[str, Any]) -> dict[str, Any]:
    """Arguments that mostly fit: some left out, now and then one too many."""
    known = {name: fitting(random, part) for name, part in schema["properties"].items() if random.random() < 0.7}
    return {**known, **({"e": any_value(random)} if random.random() < 0.05 else {})}


def any_arguments(random: Random) -> dict[str, Any]:
    return {name: any_value(random) for name in "abcde" if random.random() < 0.5}


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def recorded(stream: Any) -> list[dict[str, Any]]:
    """The params of every tool's call that was decided since the stream was cleared, and whether it was allowed."""
    payloads = [event.payload for event in stream.get_events_by_type("policy.rule_evaluated")]
    return [payload for payload in payloads if payload["action"] == "mcp.tool.call"]


def low_level(schemas: list[dict[str, Any]], got: list[Any]) -> Server[Any]:
    tools = [types.Tool(name=f"t{place}", input_schema=schema) for place, schema in enumerate(schemas)]

    async def listed(ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools)

    async def called(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        got.append(params.arguments)
        return types.CallToolResult(content=[])

    return Server("fuzzed", on_list_tools=listed, on_call_tool=called)


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("era", ERAS)
async def test_by_schema(era: str, side: str) -> None:
    random = Random(8)
    got: list[Any] = []
    ran = denied = refused = 0
    schemas = [any_object(random) for _ in range(SCHEMAS)]
    server = low_level(schemas, got)
    engine, stream = engine_of(ALL, LARGE)
    guard = Guard(engine, agent="a1")
    if side == "server":
        guard_server(guard, server)
    async with Client(server, mode=ERAS[era]) as client:
        agent = GuardedClient(guard, client) if side == "client" else client
        for place in range(SCHEMAS * SETS):
            arguments = arguments_for(random, schemas[place % SCHEMAS])
            before = len(got)
            stream.clear()
            try:
                result = await agent.call_tool(f"t{place % SCHEMAS}", arguments)
                error = result.content[0].text if result.is_error else None
            except Exception as raised:  # noqa: BLE001  (a denial on the client's side)
                error = ("Arguments refused: " if isinstance(raised, ArgumentsRefused) else "Action denied: ") + str(
                    raised
                )
            new = recorded(stream)
            if error is None:
                assert [canonical(payload["params"]) for payload in new] == [canonical(got[-1])]
                assert len(got) == before + 1
                assert new[0]["allowed"]
                ran += 1
            else:
                assert len(got) == before
                denied += error.startswith("Action denied: ")
                refused += error.startswith("Arguments refused: ")
                assert len(new) == error.startswith("Action denied: ")
    engine.close()
    assert ran + denied + refused == SCHEMAS * SETS
    assert min(ran, denied, refused) > 5, (ran, denied, refused)


def own_tools(got: list[Any]) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("fuzzed", log_level="CRITICAL")

    def t0(a: int, b: str = "plain", c: bool = False) -> None:
        got.append({"a": a, "b": b, "c": c})

    def t1(a: float = 900, b: list[int] | None = None) -> None:
        got.append({"a": a, "b": b})

    async def t2(a: int | str, b: dict[str, Any] | None = None, c: Literal["plain", "5"] = "5") -> None:
        got.append({"a": a, "b": b, "c": c})

    def t3(a: Any = 1, b: str | None = None, *, c: list[Any] | str = "x") -> None:
        got.append({"a": a, "b": b, "c": c})

    async def t4(a: int | None = 501, b: bool | int = True) -> None:
        got.append({"a": a, "b": b})

    for function in (t0, t1, t2, t3, t4):
        server.add_tool(function)
    return server


@pytest.mark.parametrize("era", ERAS)
async def test_by_functions(era: str) -> None:
    random = Random(9)
    got: list[Any] = []
    ran = denied = refused = 0
    server = own_tools(got)
    engine, stream = engine_of(ALL, LARGE)
    guard_server(Guard(engine, agent="a1"), server)
    async with Client(server, mode=ERAS[era]) as client:
        for place in range(600):
            before = len(got)
            stream.clear()
            result = await client.call_tool(f"t{place % 5}", any_arguments(random))
            new = recorded(stream)
            if not result.is_error:
                assert [canonical(payload["params"]) for payload in new] == [canonical(got[-1])]
                a = got[-1].get("a")
                assert not (isinstance(a, (int, float)) and not isinstance(a, bool) and a > 500)
                ran += 1
            else:
                assert len(got) == before
                denied += len(new)
                refused += not new
                text = result.content[0].text
                assert text.startswith("Action denied: " if new else "Arguments refused: ")
    engine.close()
    assert min(ran, denied, refused) > 50, (ran, denied, refused)
