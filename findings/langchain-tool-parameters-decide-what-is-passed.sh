#!/usr/bin/env bash
# Guess: a LangChain tool class whose _arun(self, *args, **kwargs) hands everything on to StructuredTool behaves as before.
# Truth: langchain-core looks at the parameters of _arun: run_manager is passed only if a parameter has that name, config only if
# one is annotated as RunnableConfig. **kwargs gets neither, and StructuredTool._arun then lacks its config.
# Why it matters: a wrapper that is written the usual way (guards, retries, tracing) breaks the tool or cuts its callbacks off.
# Repeat both parameters, with their annotations.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q langchain-core==1.8.3
cat >ask.py <<'P'
import asyncio

from langchain_core.callbacks import AsyncCallbackManagerForToolRun
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool


async def pay(amount: int, callbacks=None) -> str:
    return "paid, callbacks " + ("kept" if callbacks else "lost")


class Forwards(StructuredTool):
    async def _arun(self, *args, **kwargs):
        return await super()._arun(*args, **kwargs)


class Unannotated(StructuredTool):
    async def _arun(self, *args, config=None, run_manager=None, **kwargs):
        return await super()._arun(*args, config=config, run_manager=run_manager, **kwargs), config is not None


class Repeats(StructuredTool):
    async def _arun(self, *args, config: RunnableConfig, run_manager: AsyncCallbackManagerForToolRun | None = None, **kwargs):
        return await super()._arun(*args, config=config, run_manager=run_manager, **kwargs), config is not None


for kind in (Forwards, Unannotated, Repeats):
    try:
        answer = asyncio.run(kind.from_function(coroutine=pay, name="pay", description="Pay.").ainvoke({"amount": 1}))
    except TypeError as error:
        answer = type(error).__name__
    print(kind.__name__, answer, end="; ")
P
seen=$(v/bin/python ask.py)
echo "langchain-core 1.8.3: $seen"
[ "$seen" = "Forwards TypeError; Unannotated ('paid, callbacks kept', False); Repeats ('paid, callbacks kept', True); " ]
