"""An agent of pydantic-ai with a fake model, traced."""

from __future__ import annotations

from exporting import INPUT, OUTPUT, provider
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

made = provider()
Agent.instrument_all()


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    part = ToolCallPart("search", {"query": "x"}) if len(messages) == 1 else TextPart("done")
    usage = RequestUsage(input_tokens=INPUT, output_tokens=OUTPUT)
    return ModelResponse(parts=[part], usage=usage, model_name="fake-1")


agent = Agent(FunctionModel(answer, model_name="fake-1"), name="ann")


@agent.tool_plain
def search(query: str) -> str:
    """Search."""
    return f"found {query}"


agent.run_sync("go")
made.shutdown()
