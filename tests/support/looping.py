"""What the steps of injected loops call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Any

from brain import Event
from brain.playbooks.models import Playbook
from support.playing import Playing

PLAYBOOKS: Sequence[Playbook] = ()
"""Those of the test that runs."""
_here: list[Playing] = []


@contextmanager
def on(here: Playing) -> Iterator[None]:
    """Inside of this block the callbacks work on these parts."""
    _here.append(here)
    try:
        yield
    finally:
        _here.pop()


def nothing(event: Mapping[str, Any], key: str) -> None:
    """Has no effect."""


async def publish(event: Mapping[str, Any], key: str) -> None:
    """Publish in the context of the run."""
    _here[-1].stream.publish(Event(type="test.published", source="test_service", payload={}))


async def publish_as_a_stranger(event: Mapping[str, Any], key: str) -> None:
    """Publish as a program does that knows neither story nor depth."""
    await asyncio.create_task(publish(event, key), context=Context())


async def be_denied(event: Mapping[str, Any], key: str) -> None:
    """Try what a contained agent may not."""
    _here[-1].engine.refresh()
    for _ in range(5):
        Context().run(_here[-1].engine.evaluate, {"agent_id": "rogue", "action": "read"})


async def hang(event: Mapping[str, Any], key: str) -> None:
    """Never ends."""
    await asyncio.Event().wait()
