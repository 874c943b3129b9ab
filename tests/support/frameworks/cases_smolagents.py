"""Tools of smolagents, run by its two agents with a scripted model."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from mcp.types import Tool as McpTool
from mcpadapt.smolagents_adapter import SmolAgentsAdapter
from rules import FORCED, LARGE, SMALL, example, new_guard, ran, stricter
from smolagents import CodeAgent, Tool, ToolCallingAgent, ToolCollection, tool
from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole, Model

from brain.errors import InvalidInput
from brain.policy import ActionDenied, acting_as


@tool
def refund(amount: int, currency: str = "EUR") -> str:
    """Refund an amount.

    Args:
        amount: How much.
        currency: In what.
    """
    ran.append(("refund", amount, currency))
    return f"refunded {amount} {currency}"


@tool
def payout(amount: int) -> str:
    """Pay out.

    Args:
        amount: How much.
    """
    ran.append(("payout", amount))
    return "paid"


class Close(Tool):
    name = "close"
    description = "Close an account"
    inputs = {  # noqa: RUF012  (as the framework wants it)
        "account": {"type": "string", "description": "Which"},
        "force": {"type": "boolean", "description": "Whether", "nullable": True},
    }
    output_type = "string"
    ready = 0

    def setup(self) -> None:
        self.ready += 1
        super().setup()

    def forward(self, account: str, force: bool | None = True) -> str:
        ran.append(("close", account, force))
        return f"closed {account} ready {self.ready}"


class Picture(Close):
    name = "picture"
    output_type = "image"


class Scripted(Model):
    def __init__(self, steps: list[Any]) -> None:
        super().__init__()
        self.steps = steps
        self.seen: list[str] = []

    def generate(self, messages: Any, **kwargs: Any) -> ChatMessage:
        self.seen.append(str(messages[-1].content) if len(messages) else "")
        step = self.steps.pop(0)
        if isinstance(step, str):
            return ChatMessage(role=MessageRole.ASSISTANT, content=f"Thought\n<code>\n{step}\n</code>")
        name, arguments = step
        function = ChatMessageToolCallFunction(name=name, arguments=arguments)
        call = ChatMessageToolCall(id=f"c{len(self.steps)}", type="function", function=function)
        return ChatMessage(role=MessageRole.ASSISTANT, content="", tool_calls=[call])


def read(tools: list[Any], *calls: tuple[str, Any]) -> list[str]:
    """What the model reads after each of its calls; the run goes on to its end."""
    model = Scripted([*calls, ("final_answer", {"answer": "done"})])
    agent = ToolCallingAgent(tools=tools, model=model, verbosity_level=0)
    assert agent.run("go") == "done"
    return model.seen[1:]


def run_code(tools: list[Any], *steps: str, **options: Any) -> list[str]:
    model = Scripted([*steps, "final_answer('done')"])
    agent = CodeAgent(tools=tools, model=model, verbosity_level=0, **options)
    assert agent.run("go") == "done"
    return model.seen[1:]


def test_allowed_runs_and_denied_is_read() -> None:
    tools = list(new_guard().tools([refund, Close()]).values())
    seen = read(
        tools,
        ("refund", {"amount": 5}),
        ("refund", {"amount": 900}),
        ("refund", {"amount": "900"}),
        ("close", {"account": "a"}),
        ("close", {"account": "b", "force": False}),
    )
    wanted = (
        "refunded 5 EUR",
        f"Action denied: {LARGE}",
        "Argument amount has type 'string'",
        f"Action denied: {FORCED}",
        "closed b ready 1",
    )
    for text, part in zip(seen, wanted, strict=True):
        assert part in text
    assert ran == [("refund", 5, "EUR"), ("close", "b", False)]


def test_a_code_agent_reads_the_denial_as_an_error_of_its_code() -> None:
    tools = list(new_guard().tools([refund, Close()]).values())
    seen = run_code(
        tools,
        "print(refund(5))",
        "money = refund(amount=900)\nprint('paid')",
        "refund('900')",
        "close('a')",
        "print(close('b', force=False))",
    )
    assert "refunded 5 EUR" in seen[0]
    assert f"Action denied: {LARGE}" in seen[1]
    assert "Action denied: denied by rule 'large'" in seen[2]
    assert f"Action denied: {FORCED}" in seen[3]
    assert "closed b ready 1" in seen[4]
    assert ran == [("refund", 5, "EUR"), ("close", "b", False)]


def test_a_denial_is_no_picture() -> None:
    assert f"Action denied: {FORCED}" in read([new_guard().tool(Picture())], ("picture", {"account": "a"}))[0]


def test_calls_from_code() -> None:
    guarded = new_guard().tool(refund)
    assert guarded(5) == "refunded 5 EUR"
    assert guarded({"amount": 6}) == "refunded 6 EUR"
    for call in (lambda: guarded(900), lambda: guarded({"amount": 900}), lambda: guarded.forward(amount=900)):
        with pytest.raises(ActionDenied, match="denied by rule 'large'"):
            call()
    assert ran == [("refund", 5, "EUR"), ("refund", 6, "EUR")]


def test_the_tool_stays_what_it_is() -> None:
    for each in (refund, Close(), Picture()):
        guarded = new_guard().tool(each)
        assert isinstance(guarded, type(each))
        for shown in ("name", "description", "inputs", "output_type", "output_schema"):
            assert getattr(guarded, shown) == getattr(each, shown)
        assert guarded.to_code_prompt() == each.to_code_prompt()
        assert guarded.to_tool_calling_prompt() == each.to_tool_calling_prompt()


def test_copies_stay_guarded() -> None:
    for each, arguments in ((refund, {"amount": 900}), (Close(), {"account": "a"})):
        guarded = new_guard().tool(each)
        for copied in (copy.copy(guarded), copy.deepcopy(guarded)):
            with pytest.raises(ActionDenied):
                copied(**arguments)
    assert ran == []


def test_source_that_would_run_without_the_guard_is_not_given() -> None:
    for each in (refund, Close()):
        guarded = new_guard().tool(each)
        with pytest.raises(InvalidInput, match="would run without its guard"):
            guarded.to_dict()
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            pickle.dumps(guarded)


def test_who_acts_is_known_inside() -> None:
    tool = new_guard(agent=None).tool(refund)
    with acting_as("a1"):
        assert "refunded 5 EUR" in read([tool], ("refund", {"amount": 5}))[0]
        assert "Action denied: " in run_code([tool], "refund(6)")[0]  # a thread that knows no agent runs the code
        same_thread = {"executor_kwargs": {"timeout_seconds": None}}
        assert "refunded 7 EUR" in run_code([tool], "refund(7)", **same_thread)[0]
    assert [amount for _, amount, _ in ran] == [5, 7]


def test_two_guards() -> None:
    first = new_guard()
    guarded = [stricter().tool(first.tool(refund)), first.tool(stricter().tool(refund))]
    for each in guarded:
        assert f"Action denied: {SMALL}" in read([each], ("refund", {"amount": 200}))[0]
        assert each(5) == "refunded 5 EUR"
    assert len(ran) == 2


def test_an_approval_is_named() -> None:
    guard = new_guard()
    (text,) = read([guard.tool(payout)], ("payout", {"amount": 5}))
    (asked,) = guard.engine.approvals.list("PENDING")
    assert f"Approval required: a person has to approve this ({asked.id})" in text
    guard.engine.approvals.grant(asked.id, by="ann")
    assert "paid" in read([guard.tool(payout)], ("payout", {"amount": 5}))[0]


def test_other_failures_go_the_frameworks_way() -> None:
    class Fails(Close):
        def forward(self, account: str, force: bool | None = True) -> str:
            raise ZeroDivisionError("none")

    arguments = {"account": "a", "force": False}
    assert read([new_guard().tool(Fails())], ("close", arguments)) == read([Fails()], ("close", arguments))


def test_the_example_in_the_docs(tmp_path: Path) -> None:
    model = Scripted([("refund", {"amount": 900}), ("final_answer", {"answer": "done"})])
    assert example("smolagents", tmp_path, model).run("go") == "done"
    assert f"Action denied: {LARGE}" in model.seen[1]


def test_what_is_no_tool_here_is_refused() -> None:
    guard = new_guard()

    class Odd(Close):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return None

    there = SmolAgentsAdapter().adapt(lambda arguments: None, McpTool(name="there", inputSchema={"properties": {}}))
    with pytest.raises(InvalidInput, match=r"'there' is run by an MCP server.*guards_mcp"):
        guard.tool(there)
    with pytest.raises(InvalidInput, match="has a __call__ of its own"):
        guard.tool(Odd())
    with pytest.raises(InvalidInput, match=r"ToolCollection .* cannot be guarded"):
        guard.tool(ToolCollection([refund]))
    with pytest.raises(InvalidInput, match=r"CodeAgent .* cannot be guarded"):
        guard.tool(CodeAgent(tools=[], model=Scripted([])))
    with pytest.raises(InvalidInput, match="is a class; give an object"):
        guard.tool(Close)
