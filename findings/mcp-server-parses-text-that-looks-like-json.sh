#!/usr/bin/env bash
# Guess: a tool of an MCP server with a parameter `note: str | None` gets the string that the client sent, as with `note: str`.
# Truth: MCPServer first parses a string argument as JSON unless the annotation is str alone: "null" arrives as None, "[1]" is
# refused as no string, and for `str | list[str]` the text '["a"]' arrives as a list. `str` gets each of them as text.
# Why it matters: an optional parameter (search text, comment, patch) loses what was said, or fails for texts in brackets only.
# A rule or log in front of the server sees other values than the tool. Give the default "" and the annotation str.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q mcp==2.3.0
cat >ask.py <<'P'
import asyncio
import logging

from mcp import Client
from mcp.server.mcpserver import MCPServer

logging.disable(logging.CRITICAL)
server = MCPServer("notes")


@server.tool()
def optional(note: str | None = None) -> str:
    return repr(note)


@server.tool()
def union(note: str | list[str]) -> str:
    return repr(note)


@server.tool()
def plain(note: str) -> str:
    return repr(note)


async def main():
    async with Client(server) as client:

        async def call(name, note):
            result = await client.call_tool(name, {"note": note})
            return "refused" if result.is_error else result.content[0].text

        print("optional:", await call("optional", "null"), end=", ")
        print(await call("optional", "[1]"), end="; ")
        print("union:", await call("union", '["a"]'), end="; ")
        print("plain:", await call("plain", "null"), end=", ")
        print(await call("plain", "[1]"))


asyncio.run(main())
P
seen=$(v/bin/python ask.py)
echo "mcp 2.3.0: $seen"
[ "$seen" = "optional: None, refused; union: ['a']; plain: 'null', '[1]'" ]
