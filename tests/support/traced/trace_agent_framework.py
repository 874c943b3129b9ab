"""An agent of agent-framework with a fake model, traced."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_framework import Agent, BaseChatClient, ChatResponse, Content, FunctionInvocationLayer, Message
from agent_framework.observability import ChatTelemetryLayer, enable_instrumentation
from exporting import INPUT, OUTPUT, provider

made = provider()
enable_instrumentation()


class Fake(FunctionInvocationLayer, ChatTelemetryLayer, BaseChatClient):  # type: ignore[misc]
    """Asks for the tool, and then is done."""

    OTEL_PROVIDER_NAME = "fake"
    model = "fake-1"

    def _inner_get_response(self, *, messages: Any, stream: bool = False, options: Any = None, **more: Any) -> Any:
        async def answer() -> ChatResponse:
            if len(messages) == 1:
                content = Content.from_function_call(call_id="c1", name="search", arguments='{"query": "x"}')
            else:
                content = Content.from_text("done")
            usage = {"input_token_count": INPUT, "output_token_count": OUTPUT, "total_token_count": INPUT + OUTPUT}
            message = Message(role="assistant", contents=[content])
            return ChatResponse(messages=[message], model="fake-1", usage_details=usage)  # type: ignore[call-arg]

        return answer()


def search(query: str) -> str:
    """Search."""
    return f"found {query}"


async def main() -> None:
    await Agent(client=Fake(), name="ann", tools=[search]).run("go")


asyncio.run(main())
made.shutdown()
