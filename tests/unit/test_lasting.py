"""Answers that last, while it cannot be looked whether their sender would be let in."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from brain.errors import Unavailable
from brain.server.lasting import ended


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("the client sends nothing")


@pytest.mark.parametrize("fault", [Unavailable("the store is away"), ValueError("a fault of ours")])
async def test_an_answer_ends_though_a_look_failed(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("brain.server.lasting.LOOK_SECONDS", 0.0)
    looks: list[bool | Exception] = [False, fault, False, True]
    left = list(looks)

    async def over() -> bool:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async with asyncio.timeout(60), ended(never, over, websocket=False) as receive:
        assert await receive() == {"type": "http.disconnect"}
    assert len(left) == (0 if isinstance(fault, Unavailable) else 2)  # what is not understood lets nobody go on
    assert "would be let in" in caplog.text
