"""Tools and toolsets of Pydantic AI, run by its Agent with a scripted model."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry, RunContext, Tool
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.native_tools import WebSearchTool
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import (
    AbstractToolset,
    CombinedToolset,
    ExternalToolset,
    FunctionToolset,
    ToolsetTool,
    WrapperToolset,
)
from pydantic_core import SchemaValidator, core_schema
from rules import FORCED, LARGE, SMALL, example, new_guard, ran, stricter

from brain.errors import InvalidInput
from brain.policy import acting_as


def refund(amount: int, currency: str = "EUR") -> str:
    """Refund an amount."""
    ran.append(("refund", amount, currency))
    return f"refunded {amount} {currency}"


async def close(ctx: RunContext[str], account: str, force: bool = True) -> str:
    """Close an account."""
    ran.append(("close", account, force, ctx.deps))
    return f"closed {account} for {ctx.deps}"


def payout(amount: int) -> str:
    """Pay out."""
    ran.append(("payout", amount))
    return "paid"


def spread(amount: int, /, *more: int, **rest: str) -> str:
    """Spread."""
    ran.append(("spread", amount, more, rest))
    return "spread"


class Order(BaseModel):
    amount: int
    force: bool = True


def order(what: Order) -> str:
    """Order."""
    return f"ordered {what.amount}"


class Scripted:
    """A model that makes the calls in one go and then says done."""

    def __init__(self, calls: list[tuple[str, Any]]) -> None:
        self.calls = calls
        self.seen: list[Any] = []
        self.model = FunctionModel(self.answer)

    def answer(self, messages: Any, info: Any) -> ModelResponse:
        self.seen.append(messages)
        if len(self.seen) > 1:
            return ModelResponse([TextPart("done")])
        return ModelResponse([ToolCallPart(name, args, f"c{index}") for index, (name, args) in enumerate(self.calls)])


def read(calls: list[tuple[str, Any]], **options: Any) -> list[tuple[Any, str]]:
    """What the model reads for its calls, with the outcome; the run goes on to its end."""
    scripted = Scripted(calls)
    return run(Agent(scripted.model, deps_type=str, **options), scripted)


def run(agent: Any, scripted: Scripted) -> list[tuple[Any, str]]:
    assert agent.run_sync("go", deps="ann").output == "done"
    return [(part.content, part.outcome) for part in scripted.seen[-1][-1].parts if isinstance(part, ToolReturnPart)]


CALLS: list[tuple[str, Any]] = [
    ("refund", {"amount": 5}),
    ("refund", {"amount": 900}),
    ("refund", {"amount": "900"}),
    ("refund", '{"amount": "7", "currency": "GBP"}'),
    ("close", {"account": "a"}),
    ("close", {"account": "b", "force": False}),
]
READ = [
    ("refunded 5 EUR", "success"),
    (f"Action denied: {LARGE}", "failed"),
    (f"Action denied: {LARGE}", "failed"),
    ("refunded 7 GBP", "success"),
    (f"Action denied: {FORCED}", "failed"),
    ("closed b for ann", "success"),
]
RAN = [("close", "b", False, "ann"), ("refund", 5, "EUR"), ("refund", 7, "GBP")]


def toolsets() -> dict[str, AbstractToolset[Any]]:
    function = FunctionToolset([refund, close])
    return {
        "function": function,
        "combined": CombinedToolset([FunctionToolset([refund]), FunctionToolset([close])]),
        "wrapped": function.filtered(lambda ctx, tool: True).with_metadata(team="billing"),
        "renamed": function.prefixed("x").renamed({"refund": "x_refund", "close": "x_close"}),
        "mine": Mine(function),
    }


class Mine(WrapperToolset[Any]):
    """A wrapper of a program's own, which might do anything in `call_tool`."""

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
        return await super().call_tool(name, tool_args, ctx, tool)


def test_tools() -> None:
    tools = list(new_guard().tools([Tool(refund), Tool(close)]).values())
    assert read(CALLS, tools=tools) == READ
    assert sorted(ran) == RAN


@pytest.mark.parametrize("which", toolsets())
def test_toolsets(which: str) -> None:
    toolset = toolsets()[which]
    guarded = new_guard().tool(toolset)
    assert isinstance(guarded, type(toolset))
    assert read(CALLS, toolsets=[guarded]) == READ
    assert sorted(ran) == RAN


@pytest.mark.parametrize("per_run_step", [True, False])
def test_a_toolset_made_for_each_run(per_run_step: bool) -> None:
    from pydantic_ai.toolsets._dynamic import DynamicToolset

    made = DynamicToolset(lambda ctx: FunctionToolset([refund, close]), per_run_step=per_run_step)
    assert read(CALLS, toolsets=[new_guard().tool(made)]) == READ
    assert sorted(ran) == RAN


def test_a_made_toolset_of_a_class_of_ones_own() -> None:
    from pydantic_ai.toolsets._dynamic import DynamicToolset

    class Own(DynamicToolset[Any]):
        pass

    made = Own(lambda ctx: FunctionToolset([refund, close]))
    assert read(CALLS, toolsets=[new_guard().tool(made)]) == READ
    assert sorted(ran) == RAN


class Fresh(AbstractToolset[Any]):
    """A toolset without functions, which gives another one to each run."""

    id = None

    async def for_run(self, ctx: Any) -> AbstractToolset[Any]:
        return Other()

    async def get_tools(self, ctx: Any) -> dict[str, ToolsetTool[Any]]:
        definition = ToolDefinition(name="refund", parameters_json_schema={"type": "object"})
        validator = SchemaValidator(core_schema.any_schema())
        return {"refund": ToolsetTool(toolset=self, tool_def=definition, max_retries=0, args_validator=validator)}

    async def call_tool(self, name: str, tool_args: dict[str, Any], ctx: Any, tool: Any) -> Any:
        return refund(**tool_args)


class Other(Fresh):
    async def for_run(self, ctx: Any) -> AbstractToolset[Any]:
        return self


def test_what_a_toolset_becomes_for_a_run_is_guarded() -> None:
    guarded = new_guard().tool(Fresh())
    outputs = read([("refund", {"amount": 900}), ("refund", {"amount": 5})], toolsets=[guarded])
    assert outputs == [READ[1], READ[0]]
    assert ran == [("refund", 5, "EUR")]


def test_tools_that_join_later_are_guarded() -> None:
    guarded = new_guard().tool(FunctionToolset())
    guarded.add_function(refund, requires_approval=False)
    assert read([("refund", {"amount": 900})], toolsets=[guarded]) == [READ[1]]


def test_all_kinds_of_parameters() -> None:
    guarded = new_guard().tool(Tool(spread))
    outputs = read(
        [("spread", {"amount": "900", "more": []}), ("spread", {"amount": 5, "more": ["6"], "x": "y"})], tools=[guarded]
    )
    assert outputs == [(f"Action denied: {LARGE}", "failed"), ("spread", "success")]
    assert ran == [("spread", 5, (6,), {"x": "y"})]


def test_one_model_as_the_argument() -> None:
    guarded = new_guard().tool(Tool(order), resource=lambda what: f"order/{what.amount}")
    assert read([("order", {"amount": "5"})], tools=[guarded]) == [("ordered 5", "success")]


def test_the_tool_stays_what_it_is() -> None:
    for function in (refund, close, order, spread):
        tool = Tool(function, metadata={"a": 1}, sequential=True, timeout=3)
        guarded = new_guard().tool(tool)
        assert type(guarded) is Tool
        assert guarded.tool_def == tool.tool_def
        assert json.dumps(guarded.tool_def.parameters_json_schema) == json.dumps(tool.tool_def.parameters_json_schema)
        assert guarded.function_schema.is_async is tool.function_schema.is_async


def test_copies_stay_guarded() -> None:
    guarded = new_guard().tool(Tool(refund))
    for copied in (copy.copy(guarded), replace(guarded)):
        assert read([("refund", {"amount": 900})], tools=[copied]) == [READ[1]]
    assert ran == []


def test_who_acts_is_known_inside() -> None:
    tool = new_guard(agent=None).tool(Tool(refund))
    with acting_as("a1"):
        assert read([("refund", {"amount": 5})], tools=[tool]) == [READ[0]]


def test_two_guards() -> None:
    first = new_guard()
    calls = [("refund", {"amount": 200}), ("refund", {"amount": 5})]
    denied = (f"Action denied: {SMALL}", "failed")
    tool, toolset = Tool(refund), FunctionToolset([refund])
    for guarded in (stricter().tool(first.tool(tool)), first.tool(stricter().tool(tool))):
        assert read(calls, tools=[guarded]) == [denied, READ[0]]
    for guarded in (stricter().tool(first.tool(toolset)), first.tool(stricter().tool(toolset))):
        assert read(calls, toolsets=[guarded]) == [denied, READ[0]]
    assert len(ran) == 4


def test_an_approval_is_named() -> None:
    guard = new_guard()
    ((text, outcome),) = read([("payout", {"amount": 5})], tools=[guard.tool(Tool(payout))])
    (asked,) = guard.engine.approvals.list("PENDING")
    assert text.startswith(f"Approval required: a person has to approve this ({asked.id})")
    assert outcome == "failed"
    guard.engine.approvals.grant(asked.id, by="ann")
    assert read([("payout", {"amount": 5})], tools=[guard.tool(Tool(payout))]) == [("paid", "success")]


def test_other_failures_go_the_frameworks_way() -> None:
    def fails(amount: int) -> str:
        raise (ModelRetry("again") if amount == 1 else ZeroDivisionError())

    guarded = new_guard().tool(Tool(fails, max_retries=1))
    ((text, outcome),) = read([("fails", {"amount": 1})], tools=[guarded])
    assert ("again" in text, outcome) == (True, "retried")
    with pytest.raises(ZeroDivisionError):
        read([("fails", {"amount": 2})], tools=[guarded])


def test_the_example_in_the_docs(tmp_path: Path) -> None:
    scripted = Scripted([("refund", {"amount": "900"})])
    assert run(example("pydantic_ai", tmp_path, scripted.model), scripted) == [READ[1]]


def test_what_runs_elsewhere_is_refused() -> None:
    with pytest.raises(InvalidInput, match="ExternalToolset run elsewhere"):
        new_guard().tool(ExternalToolset([]))
    with pytest.raises(InvalidInput, match=r"native_tools.*WebSearchTool .* cannot be guarded"):
        new_guard().tool(WebSearchTool())
    with pytest.raises(InvalidInput, match=r"MCPToolset is run by an MCP server.*guards_mcp"):
        new_guard().tool(CombinedToolset([MCPToolset("http://localhost:1/mcp")]))
    with pytest.raises(InvalidInput, match="holds several tools"):
        new_guard().tool(FunctionToolset(), name="x")
