"""An agent of google-adk with a fake model, traced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from exporting import INPUT, OUTPUT, provider
from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types

made = provider()


class Fake(BaseLlm):
    """Asks for the tool, and then is done."""

    async def generate_content_async(self, llm_request: Any, stream: bool = False) -> AsyncIterator[LlmResponse]:
        if len(llm_request.contents) == 1:
            part = types.Part(function_call=types.FunctionCall(name="search", args={"query": "x"}))
        else:
            part = types.Part(text="done")
        usage = types.GenerateContentResponseUsageMetadata(
            prompt_token_count=INPUT, candidates_token_count=OUTPUT, total_token_count=INPUT + OUTPUT
        )
        yield LlmResponse(content=types.Content(role="model", parts=[part]), usage_metadata=usage)


def search(query: str) -> str:
    """Search."""
    return f"found {query}"


async def main() -> None:
    runner = InMemoryRunner(LlmAgent(name="ann", model=Fake(model="fake-1"), tools=[search]), app_name="app")
    session = await runner.session_service.create_session(app_name="app", user_id="u")
    go = types.Content(role="user", parts=[types.Part(text="go")])
    async for _ in runner.run_async(user_id="u", session_id=session.id, new_message=go):
        pass


asyncio.run(main())
made.shutdown()
