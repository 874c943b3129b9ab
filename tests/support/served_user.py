"""Starts the server on a free port, in the current folder, and asks it for its health and a decision."""

from __future__ import annotations

import asyncio
import json
import urllib.request

from brain.server.running import running
from brain.settings import load_settings


def ask(url: str, body: object = None) -> object:
    """The answer, from JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


async def main() -> None:
    """Prints what it answers, a line of JSON each."""
    async with running(load_settings(port=0)) as server:
        for path, body in (
            ("healthz", None),
            ("api/policy/evaluate", {"agent_id": "a1", "action": "x"}),
            ("api/metrics/summary", None),
        ):
            print(json.dumps(await asyncio.to_thread(ask, f"{server.url}/{path}", body)))


if __name__ == "__main__":
    asyncio.run(main())
