"""Tools of LangChain, alone and in the agents of LangGraph and LangChain with a scripted model."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, Tool, ToolException, tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from langgraph.prebuilt import InjectedState, create_react_agent
from mcp.types import Tool as McpTool
from pydantic import BaseModel, Field
from rules import FORCED, LARGE, SMALL, example, new_guard, ran, stricter

from brain.errors import InvalidInput
from brain.policy import acting_as


@tool
def refund(amount: int, currency: str = "EUR") -> str:
    """Refund an amount."""
    ran.append(("refund", amount, currency))
    return f"refunded {amount} {currency}"


@tool
async def close(account: str, state: Annotated[dict[str, Any], InjectedState], force: bool = True) -> str:
    """Close an account."""
    ran.append(("close", account, force, len(state["messages"])))
    return f"closed {account}"


@tool
def payout(amount: int) -> str:
    """Pay out."""
    ran.append(("payout", amount))
    return "paid"


@tool(response_format="content_and_artifact")
def report(amount: int, config: RunnableConfig) -> tuple[str, dict[str, int]]:
    """Report."""
    return f"report for {config['configurable']['user']}", {"amount": amount}


class RefundArguments(BaseModel):
    amount: int = Field(description="How much")
    force: bool = True


class RefundTool(BaseTool):
    name: str = "refund_tool"
    description: str = "Refund"
    args_schema: type[BaseModel] = RefundArguments
    runs: int = 0

    def _run(self, amount: int, force: bool, run_manager: Any = None) -> str:
        self.runs += 1
        ran.append(("_run", amount, force))
        return f"refunded {amount} in run {self.runs}"


class BothWays(RefundTool):
    name: str = "both_ways"

    async def _arun(self, amount: int, force: bool, run_manager: Any = None) -> str:
        return self._run(amount, force) + " async"


class Scripted(FakeMessagesListChatModel):
    seen: list[Any] = Field(default_factory=list)

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.seen.append(messages)
        return super()._generate(messages, *args, **kwargs)


async def read(tools: list[Any], *calls: tuple[str, Any], make: Any = create_react_agent) -> list[Any]:
    """The messages that the model reads for its calls, made in one go; the run goes on to its end."""
    made = [{"name": name, "args": args, "id": f"c{index}"} for index, (name, args) in enumerate(calls)]
    model = Scripted(responses=[AIMessage("", tool_calls=made), AIMessage("done")])
    return await run(make(model, tools), model)


async def run(agent: Any, model: Scripted) -> list[Any]:
    result = await agent.ainvoke({"messages": [HumanMessage("go")]}, {"configurable": {"user": "ann"}})
    assert result["messages"][-1].content == "done"
    return [message for message in model.seen[-1] if isinstance(message, ToolMessage)]


def texts(messages: list[Any]) -> list[tuple[str, str]]:
    return [(message.content, message.status) for message in messages]


@pytest.mark.parametrize("make", [create_react_agent, create_agent])
async def test_allowed_runs_and_denied_is_read(make: Any) -> None:
    tools = list(new_guard().tools([refund, close]).values())
    messages = await read(
        tools,
        ("refund", {"amount": 5}),
        ("refund", {"amount": 900}),
        ("refund", {"amount": "900"}),
        ("refund", {"amount": "7", "currency": "GBP"}),
        ("close", {"account": "a"}),
        ("close", {"account": "b", "force": False}),
        make=make,
    )
    assert texts(messages) == [
        ("refunded 5 EUR", "success"),
        (f"Action denied: {LARGE}", "error"),
        (f"Action denied: {LARGE}", "error"),
        ("refunded 7 GBP", "success"),
        (f"Action denied: {FORCED}", "error"),
        ("closed b", "success"),
    ]
    assert sorted(ran) == [("close", "b", False, 2), ("refund", 5, "EUR"), ("refund", 7, "GBP")]


@pytest.mark.parametrize("kind", [RefundTool, BothWays])
async def test_a_class_of_tools(kind: type[RefundTool]) -> None:
    guarded = new_guard().tool(kind())
    name, extra = guarded.name, " async" if kind is BothWays else ""
    messages = await read([guarded], (name, {"amount": "900", "force": False}), (name, {"amount": 5}))
    assert texts(messages) == [(f"Action denied: {LARGE}", "error"), (f"Action denied: {FORCED}", "error")]
    assert guarded.invoke({"amount": "6", "force": False}) == "refunded 6 in run 1"
    assert await guarded.ainvoke({"amount": "7", "force": False}) == f"refunded 7 in run 2{extra}"
    assert ran == [("_run", 6, False), ("_run", 7, False)]
    assert guarded.runs == 2
    assert isinstance(guarded, kind)


async def test_every_way_in() -> None:
    guarded = new_guard().tool(refund)
    denied = f"Action denied: {LARGE}"
    assert guarded.invoke({"amount": "900"}) == denied
    assert await guarded.ainvoke({"amount": 900}) == denied
    assert guarded.run({"amount": 900}) == denied
    assert await guarded.arun({"amount": 900}) == denied
    assert list(guarded.stream({"amount": 900})) == [denied]
    assert [item async for item in guarded.astream({"amount": 900})] == [denied]
    assert guarded.batch([{"amount": 900}, {"amount": 5}]) == [denied, "refunded 5 EUR"]
    assert (RunnableLambda(lambda x: x) | guarded).invoke({"amount": 900}) == denied
    assert ran == [("refund", 5, "EUR")]


def test_the_tool_stays_what_it_is() -> None:
    guard = new_guard()
    for each in (refund, close, report, RefundTool(), BothWays()):
        guarded = guard.tool(each)
        assert isinstance(guarded, type(each))
        assert (guarded.name, guarded.description) == (each.name, each.description)
        assert json.dumps(convert_to_openai_tool(guarded)) == json.dumps(convert_to_openai_tool(each))
        assert guarded.get_input_schema().model_json_schema() == each.get_input_schema().model_json_schema()


def test_copies_stay_guarded() -> None:
    for each in (refund, RefundTool()):
        guarded = new_guard().tool(each)
        renamed = guarded.model_copy(update={"name": "renamed"})
        for copied in (copy.copy(guarded), copy.deepcopy(guarded), renamed, guarded.with_config(tags=["x"])):
            assert copied.invoke({"amount": 900, "force": False}) == f"Action denied: {LARGE}"
    assert ran == []


async def test_artifacts_and_configuration_are_kept() -> None:
    messages = await read([new_guard().tool(report)], ("report", {"amount": 5}), ("report", {"amount": 900}))
    assert messages[0].artifact == {"amount": 5}
    assert texts(messages) == [("report for ann", "success"), (f"Action denied: {LARGE}", "error")]


async def test_who_acts_is_known_inside() -> None:
    guard = new_guard(agent=None)
    with acting_as("a1"):
        messages = await read([guard.tool(refund)], ("refund", {"amount": 5}))
        messages += await read([guard.tool(RefundTool())], ("refund_tool", {"amount": 5, "force": False}))
        assert guard.tool(refund).batch([{"amount": 6}, {"amount": 7}]) == ["refunded 6 EUR", "refunded 7 EUR"]
    assert texts(messages) == [("refunded 5 EUR", "success"), ("refunded 5 in run 1", "success")]


def test_two_guards() -> None:
    first = new_guard()
    for each in (refund, RefundTool(), BothWays()):
        for guarded in (stricter().tool(first.tool(each)), first.tool(stricter().tool(each))):
            texts = [guarded.invoke({"amount": amount, "force": False}) for amount in (200, 5)]
            assert texts[0] == f"Action denied: {SMALL}"
            assert texts[1].startswith("refunded 5")
    assert len(ran) == 6


async def test_an_approval_is_named() -> None:
    guard = new_guard()
    (message,) = await read([guard.tool(payout)], ("payout", {"amount": 5}))
    (asked,) = guard.engine.approvals.list("PENDING")
    assert message.content.startswith(f"Approval required: a person has to approve this ({asked.id})")
    guard.engine.approvals.grant(asked.id, by="ann")
    assert texts(await read([guard.tool(payout)], ("payout", {"amount": 5}))) == [("paid", "success")]


def test_old_tools_of_one_text() -> None:
    guarded = new_guard().tool(Tool("say", lambda words: words, "Say it"))
    assert guarded.invoke("hello") == "hello"


def test_arguments_given_by_the_program_are_not_params() -> None:
    def whose(amount: int, user: Annotated[object, InjectedToolArg]) -> str:
        """Whose."""
        return f"{amount} {user}"

    seen: list[Any] = []
    guard = new_guard()
    guarded = guard.tool(StructuredTool.from_function(whose), agent=lambda amount, user: seen.append(user) or "a1")
    assert guarded.invoke({"amount": 5, "user": "ann"}) == "5 ann"
    assert seen == ["ann"]


async def test_other_failures_go_the_frameworks_way() -> None:
    def fails(amount: int) -> str:
        """Fail."""
        raise ToolException("no such account")

    guard = new_guard()
    guarded = guard.tool(StructuredTool.from_function(fails, handle_tool_error=True))
    assert guarded.invoke({"amount": 5}) == "no such account"
    with pytest.raises(ToolException):
        guard.tool(StructuredTool.from_function(fails)).invoke({"amount": 5})


async def test_the_example_in_the_docs(tmp_path: Path) -> None:
    call = {"name": "refund", "args": {"amount": "900"}, "id": "c"}
    model = Scripted(responses=[AIMessage("", tool_calls=[call]), AIMessage("done")])
    assert texts(await run(example("langchain", tmp_path, model), model)) == [(f"Action denied: {LARGE}", "error")]


def test_a_class_that_is_entered_past_its_run_is_refused() -> None:
    class Own(RefundTool):
        def invoke(self, *args: Any, **kwargs: Any) -> Any:
            return "done"

    with pytest.raises(InvalidInput, match="has invoke of its own"):
        new_guard().tool(Own())

    class Half(StructuredTool):
        async def _arun(self, *args: Any, **kwargs: Any) -> Any:
            ran.append("half")

    guarded = new_guard().tool(Half.from_function(lambda amount: amount, name="half", description="x"))
    assert asyncio.run(guarded.ainvoke({"amount": 900})) == f"Action denied: {LARGE}"
    assert ran == []


def test_what_is_no_tool_here_is_refused() -> None:
    server: Any = {"transport": "stdio", "command": "none", "args": []}
    described = McpTool(name="there", inputSchema={"properties": {}})
    there = convert_mcp_tool_to_langchain_tool(None, described, connection=server)
    with pytest.raises(InvalidInput, match=r"'there' is run by an MCP server.*guards_mcp"):
        new_guard().tool(there)
    with pytest.raises(InvalidInput, match=r"langgraph\..* cannot be guarded"):
        new_guard().tool(create_react_agent(Scripted(responses=[AIMessage("x")]), [refund]))
