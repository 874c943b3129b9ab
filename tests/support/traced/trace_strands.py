"""An agent of strands with a fake model, traced."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from exporting import INPUT, OUTPUT, provider
from strands import Agent, tool
from strands.models import Model

made = provider()


class Fake(Model):
    """Asks for the tool, and then is done."""

    def update_config(self, **config: Any) -> None: ...

    def get_config(self) -> dict[str, Any]:
        return {"model_id": "fake-1"}

    def structured_output(self, *given: Any, **more: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: list[Any], *given: Any, **more: Any) -> AsyncIterator[dict[str, Any]]:
        yield {"messageStart": {"role": "assistant"}}
        if len(messages) == 1:
            yield {"contentBlockStart": {"start": {"toolUse": {"name": "search", "toolUseId": "t1"}}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": '{"query": "x"}'}}}}
        else:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": "done"}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if len(messages) == 1 else "end_turn"}}
        usage = {"inputTokens": INPUT, "outputTokens": OUTPUT, "totalTokens": INPUT + OUTPUT}
        yield {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}}}


@tool
def search(query: str) -> str:
    """Search."""
    return f"found {query}"


Agent(model=Fake(), name="ann", tools=[search], callback_handler=None)("go")
made.shutdown()
