"""Tools of Strands Agents, run by its Agent with a scripted model."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp.types import Tool as McpTool
from rules import FORCED, LARGE, SMALL, example, new_guard, ran, stricter
from strands import Agent, ToolContext, tool
from strands.models.model import Model
from strands.tools.decorator import DecoratedFunctionTool
from strands.tools.mcp import MCPClient
from strands.tools.mcp.mcp_agent_tool import MCPAgentTool
from strands.tools.tools import PythonAgentTool

from brain.errors import InvalidInput
from brain.policy import ActionDenied, acting_as


@tool
def refund(amount: int, currency: str = "EUR") -> str:
    """Refund an amount.

    Args:
        amount: How much.
    """
    ran.append(("refund", amount, currency))
    return f"refunded {amount} {currency}"


@tool(context=True)
async def close(account: str, tool_context: ToolContext, force: bool = True) -> str:
    """Close an account."""
    ran.append(("close", account, force, tool_context.invocation_state["user"]))
    return f"closed {account}"


@tool
def payout(amount: int) -> str:
    """Pay out."""
    ran.append(("payout", amount))
    return "paid"


@tool
async def stream(amount: int) -> AsyncIterator[str]:
    """Stream."""
    ran.append(("stream", amount))
    yield "half"
    yield f"streamed {amount}"


class Desk:
    @tool
    def refund(self, amount: int) -> str:
        """Refund at a desk."""
        ran.append(("desk", amount))
        return f"refunded {amount} here"


SPEC: Any = {
    "name": "module_tool",
    "description": "Of a module",
    "inputSchema": {"json": {"type": "object", "properties": {"amount": {"type": "integer"}}}},
}


def module_tool(tool_use: Any, **kwargs: Any) -> Any:
    ran.append(("module", tool_use["input"], kwargs["user"]))
    return {"toolUseId": tool_use["toolUseId"], "status": "success", "content": [{"text": "module done"}]}


class Scripted(Model):
    def __init__(self, calls: list[tuple[str, Any]]) -> None:
        self.calls = calls
        self.seen: list[Any] = []

    def update_config(self, **model_config: Any) -> None:
        """There is none."""

    def get_config(self) -> Any:
        return {}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        self.seen.append(copy.deepcopy(messages))
        yield {"messageStart": {"role": "assistant"}}
        if len(self.seen) > 1:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": "done"}}}
            yield {"contentBlockStop": {}}
            yield {"messageStop": {"stopReason": "end_turn"}}
            return
        for index, (name, arguments) in enumerate(self.calls):
            yield {"contentBlockStart": {"start": {"toolUse": {"name": name, "toolUseId": f"c{index}"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(arguments)}}}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use"}}


async def read(tools: list[Any], *calls: tuple[str, Any]) -> list[tuple[str, str]]:
    """What the model reads for its calls, made in one go, with the status; the run goes on to its end."""
    model = Scripted(list(calls))
    return await run(Agent(model=model, tools=tools, callback_handler=None), model)


async def run(agent: Agent, model: Scripted) -> list[tuple[str, str]]:
    result = await agent.invoke_async("go", invocation_state={"user": "ann"})
    assert "done" in str(result)
    found = {block["toolResult"]["toolUseId"]: block["toolResult"] for block in model.seen[-1][-1]["content"]}
    ordered = [found[f"c{index}"] for index in range(len(model.calls))]
    return [(each["content"][0]["text"], each["status"]) for each in ordered]


DENIED = (f"Action denied: {LARGE}", "error")


async def test_allowed_runs_and_denied_is_read() -> None:
    tools = list(new_guard().tools([refund, close]).values())
    outputs = await read(
        tools,
        ("refund", {"amount": 5}),
        ("refund", {"amount": 900}),
        ("refund", {"amount": "900"}),
        ("refund", {"amount": "7", "currency": "GBP"}),
        ("close", {"account": "a"}),
        ("close", {"account": "b", "force": False}),
    )
    assert outputs == [
        ("refunded 5 EUR", "success"),
        DENIED,
        DENIED,
        ("refunded 7 GBP", "success"),
        (f"Action denied: {FORCED}", "error"),
        ("closed b", "success"),
    ]
    assert sorted(ran) == [("close", "b", False, "ann"), ("refund", 5, "EUR"), ("refund", 7, "GBP")]


async def test_streaming_tools() -> None:
    guarded = new_guard().tool(stream)
    outputs = await read([guarded], ("stream", {"amount": "900"}), ("stream", {"amount": 5}))
    assert outputs == [DENIED, ("streamed 5", "success")]
    events = [event async for event in guarded.stream({"toolUseId": "x", "name": "stream", "input": {"amount": 6}}, {})]
    assert len(events) == 3
    assert ran == [("stream", 5), ("stream", 6)]


async def test_a_method_stays_guarded_when_it_is_bound() -> None:
    guard = new_guard()
    guarded = guard.tool(Desk().refund)
    assert await read([guarded], ("refund", {"amount": 900}), ("refund", {"amount": 5})) == [
        DENIED,
        ("refunded 5 here", "success"),
    ]

    class Counter:
        refund = guard.tool(Desk.refund)

    assert await read([Counter().refund], ("refund", {"amount": 900})) == [DENIED]
    assert ran == [("desk", 5)]


async def test_a_tool_of_a_module() -> None:
    guarded = new_guard().tool(PythonAgentTool("module_tool", SPEC, module_tool))
    outputs = await read([guarded], ("module_tool", {"amount": 900}), ("module_tool", {"amount": 5}))
    assert outputs == [DENIED, ("module done", "success")]
    assert ran == [("module", {"amount": 5}, "ann")]
    assert isinstance(guarded, PythonAgentTool)


async def test_calls_from_code() -> None:
    guarded = new_guard().tool(refund)
    agent = Agent(model=Scripted([]), tools=[guarded], callback_handler=None)
    assert agent.tool.refund(amount="900")["content"] == [{"text": DENIED[0]}]
    assert guarded(5) == "refunded 5 EUR"
    with pytest.raises(ActionDenied):
        guarded(900)
    assert ran == [("refund", 5, "EUR")]


def test_the_tool_stays_what_it_is() -> None:
    for each in (refund, close, stream, PythonAgentTool("module_tool", SPEC, module_tool)):
        guarded = new_guard().tool(each)
        assert isinstance(guarded, type(each))
        assert guarded.tool_name == each.tool_name
        assert json.dumps(guarded.tool_spec) == json.dumps(each.tool_spec)
        assert guarded.get_display_properties() == each.get_display_properties()
    assert refund(900) == "refunded 900 EUR"


async def test_copies_stay_guarded() -> None:
    guarded = new_guard().tool(refund)
    assert await read([copy.copy(guarded)], ("refund", {"amount": 900})) == [DENIED]
    assert ran == []


async def test_who_acts_is_known_inside() -> None:
    tool = new_guard(agent=None).tool(refund)
    with acting_as("a1"):
        assert await read([tool], ("refund", {"amount": 5})) == [("refunded 5 EUR", "success")]
        agent = Agent(model=Scripted([("refund", {"amount": 6})]), tools=[tool], callback_handler=None)
        agent("go")
        assert agent.tool.refund(amount=7)["status"] == "success"
    assert [amount for _, amount, _ in ran] == [5, 6, 7]


async def test_two_guards() -> None:
    first = new_guard()
    for each in (refund, PythonAgentTool("refund", {**SPEC, "name": "refund"}, module_tool)):
        for guarded in (stricter().tool(first.tool(each)), first.tool(stricter().tool(each))):
            outputs = await read([guarded], ("refund", {"amount": 200}), ("refund", {"amount": 5}))
            assert outputs[0] == (f"Action denied: {SMALL}", "error")
            assert outputs[1][1] == "success"
    assert len(ran) == 4


async def test_an_approval_is_named() -> None:
    guard = new_guard()
    ((text, status),) = await read([guard.tool(payout)], ("payout", {"amount": 5}))
    (asked,) = guard.engine.approvals.list("PENDING")
    assert text.startswith(f"Approval required: a person has to approve this ({asked.id})")
    assert status == "error"
    guard.engine.approvals.grant(asked.id, by="ann")
    assert await read([guard.tool(payout)], ("payout", {"amount": 5})) == [("paid", "success")]


async def test_other_failures_go_the_frameworks_way() -> None:
    @tool
    def fails(amount: int) -> str:
        """Fail."""
        raise ZeroDivisionError("none")

    guarded: Any = new_guard().tool(fails)
    assert isinstance(guarded, DecoratedFunctionTool)
    outputs = await read([guarded], ("fails", {"amount": 5}), ("fails", {"amount": "x"}))
    assert outputs == await read([fails], ("fails", {"amount": 5}), ("fails", {"amount": "x"}))


async def test_the_example_in_the_docs(tmp_path: Path) -> None:
    model = Scripted([("refund", {"amount": "900"})])
    assert await run(example("strands", tmp_path, model), model) == [DENIED]


def test_what_is_no_tool_here_is_refused() -> None:
    guard = new_guard()
    mcp = MCPAgentTool(McpTool(name="there", inputSchema={"type": "object"}), MCPClient(lambda: None))  # type: ignore
    with pytest.raises(InvalidInput, match="'there' is run by an MCP server"):
        guard.tool(mcp)
    with pytest.raises(InvalidInput, match=r"MCPClient .* cannot be guarded"):
        guard.tool(MCPClient(lambda: None))  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidInput, match=r"strands\.agent\.agent\.Agent .* cannot be guarded"):
        guard.tool(Agent(model=Scripted([]), callback_handler=None))
