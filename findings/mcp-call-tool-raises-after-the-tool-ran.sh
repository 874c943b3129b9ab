#!/usr/bin/env bash
# Guess: Client.call_tool of the MCP SDK sends one request, and raises only if that request failed.
# Truth: after a good answer the client asks for tools/list to find the tool's output schema; if the server refuses the list,
# call_tool raises that error and the tool's result is lost, although the tool has run.
# Why it matters: a gateway or policy that hides lists from an agent makes every permitted call look failed, and an agent that
# tries again pays twice. Decide tools/list by filtering it, not by refusing it.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q mcp==2.3.0 mcp-types==2.3.0
cat >ask.py <<'P'
import asyncio

import mcp_types as types
from mcp import Client, MCPError
from mcp.server.lowlevel import Server

ran = []


async def call(context, params):
    ran.append(params.name)
    return types.CallToolResult(content=[types.TextContent(type="text", text="paid")])


async def lists(context, params):
    raise MCPError(code=-32603, message="no list for you")


async def main():
    async with Client(Server("s", on_call_tool=call, on_list_tools=lists)) as client:
        try:
            print("result", (await client.call_tool("pay", {})).content)
        except MCPError as error:
            print("raised:", error, ran)


asyncio.run(main())
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "mcp 2.3.0: $seen"
[ "$seen" = "raised: no list for you ['pay']" ]
