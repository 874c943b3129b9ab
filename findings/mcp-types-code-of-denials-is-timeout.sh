#!/usr/bin/env bash
# Guess: the error code -32001, which a draft profile of AuthZEN for MCP (COAZ) gives to a denied request, has no other meaning
# in the MCP SDK.
# Truth: mcp-types names it REQUEST_TIMEOUT, and the SDK's own client raises it when a server does not answer in time.
# Why it matters: code that tries again on timeouts tries again on denials, unless it reads the error's data. The draft may still
# change; our denials carry rule_id in `data`, and that is what to look at.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q mcp==2.3.0 mcp-types==2.3.0
cat >ask.py <<'P'
import asyncio

import mcp_types as types
from mcp import Client, MCPError
from mcp.server.lowlevel import Server


async def call(context, params):
    await asyncio.Event().wait()


async def main():
    async with Client(Server("s", on_call_tool=call)) as client:
        try:
            await client.call_tool("slow", {}, read_timeout_seconds=0.2)
        except MCPError as error:
            print(types.REQUEST_TIMEOUT, error.error.code)


asyncio.run(main())
P
seen=$(v/bin/python ask.py 2>/dev/null)
echo "mcp and mcp-types 2.3.0: $seen"
[ "$seen" = "-32001 -32001" ]
