"""Agents of real frameworks, run against a fake model and traced by their own instrumentation: each call counts once.

Two calls of the model with 120 and 17 tokens each, and one of a tool. strands and agent-framework repeat the sums on
the span of the agent, and name the agent there alone; google-adk calls its calls `generate_content`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx
import pytest

from support.framework_environments import SMALL_CUT, TRACED, traced_environment
from support.server import ServeThread, without_consumers

PROGRAMS = Path(__file__).parents[1] / "support" / "traced"


@pytest.mark.parametrize(
    "framework", [pytest.param(name, marks=() if name == SMALL_CUT else pytest.mark.long) for name in TRACED]
)
def test_a_run_is_counted_once_under_its_agent(framework: str, tmp_path: Path) -> None:
    python = traced_environment(framework) / "bin" / "python"
    server = ServeThread(without_consumers(f"sqlite:///{tmp_path}/brain.db")).start()
    try:
        variables = {"PATH": os.environ["PATH"], "TELEMETRY": f"{server.url}/api/telemetry"}
        command = [str(python), str(PROGRAMS / f"trace_{framework}.py")]
        done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        usage = httpx.get(f"{server.url}/api/telemetry/usage", params={"by": "all"}, trust_env=False).json()
    finally:
        server.stop()
    found = {row["kind"]: (row["agent"], row["calls"], row["input_tokens"], row["output_tokens"]) for row in usage}
    assert len(usage) == 2
    assert found == {"model": ("ann", 2, 240, 34), "tool": ("ann", 1, 0, 0)}
    assert {row["name"] for row in usage if row["kind"] == "tool"} == {"search"}
