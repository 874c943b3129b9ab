"""Function tools of the OpenAI Agents SDK, run by its Runner with a scripted model."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, FunctionTool, RunContextWrapper, Runner, WebSearchTool, function_tool, tool_namespace
from agents.mcp import MCPServerStdio, MCPUtil
from agents.testing import ScriptedModel, assistant_message, function_call
from mcp.types import Tool as McpTool
from rules import FORCED, LARGE, SMALL, example, new_guard, ran, stricter

from brain.errors import InvalidInput
from brain.policy import acting_as


@function_tool
def refund(amount: int, currency: str = "EUR") -> str:
    """Refund an amount.

    Args:
        amount: How much.
    """
    ran.append(("refund", amount, currency))
    return f"refunded {amount} {currency}"


@function_tool(strict_mode=False)
async def close(ctx: RunContextWrapper[dict[str, str]], account: str, force: bool = True) -> str:
    """Close an account."""
    ran.append(("close", account, force, ctx.context["user"]))
    return f"closed {account} for {ctx.context['user']}"


@function_tool
def payout(amount: int) -> str:
    """Pay out."""
    ran.append(("payout", amount))
    return "paid"


@function_tool
def broken(amount: int) -> str:
    """Fail."""
    raise RuntimeError("no such account")


async def read(tools: list[Any], *calls: tuple[str, Any], streamed: bool = False) -> list[Any]:
    """What the model reads for each of its calls, made in one go; the run goes on to its end."""
    made = [
        function_call(name, arguments if isinstance(arguments, str) else json.dumps(arguments), call_id=f"c{index}")
        for index, (name, arguments) in enumerate(calls)
    ]
    model = ScriptedModel([made, [assistant_message("done")]])
    return await run(Agent(name="support", model=model, tools=tools), model, streamed)


async def run(agent: Any, model: ScriptedModel, streamed: bool = False) -> list[Any]:
    if streamed:
        result: Any = Runner.run_streamed(agent, "go", context={"user": "ann"})
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, "go", context={"user": "ann"})
    assert result.final_output == "done"
    return [item["output"] for item in model.calls[-1].input if item.get("type") == "function_call_output"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_allowed_runs_and_denied_is_read(streamed: bool) -> None:
    tools = list(new_guard().tools([refund]).values())
    outputs = await read(tools, ("refund", {"amount": 5}), ("refund", {"amount": 900}), streamed=streamed)
    assert outputs == ["refunded 5 EUR", f"Action denied: {LARGE}"]
    assert ran == [("refund", 5, "EUR")]


async def test_decided_on_converted_values_and_defaults_with_context() -> None:
    tools = list(new_guard().tools([refund, close]).values())
    outputs = await read(
        tools,
        ("refund", {"amount": "900"}),
        ("refund", {"amount": "7", "currency": "GBP"}),
        ("close", {"account": "a"}),
        ("close", {"account": "b", "force": False}),
    )
    assert outputs == [
        f"Action denied: {LARGE}",
        "refunded 7 GBP",
        f"Action denied: {FORCED}",
        "closed b for ann",
    ]
    assert sorted(ran) == [("close", "b", False, "ann"), ("refund", 7, "GBP")]


async def test_the_tool_stays_what_it_is() -> None:
    guarded = new_guard().tool(close)
    assert type(guarded) is FunctionTool
    assert guarded is not close
    kept = {"name", "description", "params_json_schema", "strict_json_schema", "is_enabled", "needs_approval"}
    for field in kept:
        assert getattr(guarded, field) == getattr(close, field)
    assert json.dumps(guarded.params_json_schema) == json.dumps(close.params_json_schema)
    assert guarded.__wrapped__ is close.__wrapped__


async def test_copies_stay_guarded() -> None:
    guarded = new_guard().tool(refund)
    copies = [copy.copy(guarded), dataclasses.replace(guarded, name="renamed")]
    copies += tool_namespace(name="billing", description="Billing", tools=[guarded])
    for each in copies[:2]:
        assert await read([each], (each.name, {"amount": 900})) == [f"Action denied: {LARGE}"]
    assert copies[2].on_invoke_tool is not refund.on_invoke_tool
    assert ran == []


async def test_who_acts_is_known_inside() -> None:
    tool = new_guard(agent=None).tool(refund)
    with acting_as("a1"):
        assert await read([tool], ("refund", {"amount": 5})) == ["refunded 5 EUR"]
    assert "agent" in (await read([tool], ("refund", {"amount": 5})))[0]
    assert len(ran) == 1


async def test_two_guards() -> None:
    first = new_guard()
    for each in (refund, RAW):
        calls = [(each.name, {"amount": amount, "force": False}) for amount in (900, 200, 5)]
        denied = [f"Action denied: {LARGE}", f"Action denied: {SMALL}"]
        for guarded in (stricter().tool(first.tool(each)), first.tool(stricter().tool(each))):
            outputs = await read([guarded], *calls)
            assert [output in denied for output in outputs] == [True, True, False]
    assert len(ran) == 4


async def test_an_approval_is_named() -> None:
    guard = new_guard()
    (output,) = await read([guard.tool(payout)], ("payout", {"amount": 5}))
    (asked,) = guard.engine.approvals.list("PENDING")
    assert output.startswith(f"Approval required: a person has to approve this ({asked.id})")
    assert ran == []
    guard.engine.approvals.grant(asked.id, by="ann")
    assert await read([guard.tool(payout)], ("payout", {"amount": 5})) == ["paid"]


async def test_other_failures_go_the_frameworks_way() -> None:
    guard = new_guard()
    outputs = await read([guard.tool(broken)], ("broken", {"amount": 5}))
    assert outputs == await read([broken], ("broken", {"amount": 5}))
    told = function_tool(
        lambda amount: 1 / 0, name_override="odd", strict_mode=False, failure_error_function=lambda ctx, error: "odd"
    )
    assert await read([guard.tool(told)], ("odd", {"amount": 5})) == ["odd"]


async def invoke(ctx: Any, text: str) -> str:
    ran.append(("raw", json.loads(text)))
    return text


RAW = FunctionTool(
    name="raw",
    description="Anything",
    params_json_schema={
        "type": "object",
        "properties": {"amount": {"type": "integer"}, "force": {"type": "boolean", "default": True}},
    },
    on_invoke_tool=invoke,
    strict_json_schema=False,
)


async def test_an_invoker_of_its_own_is_decided_on_what_it_gets() -> None:
    guarded = new_guard().tool(RAW)
    outputs = await read(
        [guarded],
        ("raw", {"amount": 900, "force": False}),
        ("raw", {"amount": 5}),
        ("raw", {"amount": 5, "force": False}),
        ("raw", '{"amount": 900, "amount": 5, "force": false}'),
        ("raw", "[1]"),
    )
    assert outputs[0] == f"Action denied: {LARGE}"
    assert outputs[1] == f"Action denied: {FORCED}"
    assert json.loads(outputs[2]) == {"amount": 5, "force": False}
    assert outputs[3] == "Action denied: the arguments cannot be read: a name is given twice"
    assert outputs[4] == "Action denied: the arguments are list, not an object"
    assert ran == [("raw", {"amount": 5, "force": False})]


async def test_an_agent_as_a_tool() -> None:
    inner = Agent(name="inner", model=ScriptedModel([[assistant_message("inner done")]]))
    tool = inner.as_tool("ask", "Ask the other")
    guard = new_guard()
    assert await read([guard.tool(tool)], ("ask", {"input": "x"})) == ["inner done"]


async def test_the_example_in_the_docs(tmp_path: Path) -> None:
    call = function_call("refund", json.dumps({"amount": "900"}), call_id="c")
    model = ScriptedModel([[call], [assistant_message("done")]])
    assert await run(example("openai_agents", tmp_path, model), model) == [f"Action denied: {LARGE}"]


def test_a_hosted_tool_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"agents\.tool\.WebSearchTool .* cannot be guarded"):
        new_guard().tool(WebSearchTool())


def test_an_mcp_tool_is_refused() -> None:
    described = McpTool(name="there", input_schema={"type": "object", "properties": {}})
    with pytest.raises(InvalidInput, match=r"run by an MCP server.*guards_mcp"):
        new_guard().tool(MCPUtil.to_function_tool(described, MCPServerStdio({"command": "none"}), False))
