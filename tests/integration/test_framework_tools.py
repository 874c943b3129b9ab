"""Tools of agent frameworks behind a guard: the real packages, each in an environment of its own, with no model."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from support.framework_environments import CASES, FRAMEWORKS, SMALL_CUT, run_cases


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "framework", [SMALL_CUT, *(pytest.param(name, marks=pytest.mark.long) for name in FRAMEWORKS if name != SMALL_CUT)]
)
def test_guarded_inside_the_framework(framework: str) -> None:
    written = len(re.findall(r"^(?:async )?def test_", (CASES / f"cases_{framework}.py").read_text(), re.M))
    printed = run_cases(framework, timeout=600)
    passed = re.search(r"^(\d+) passed", printed, re.M)
    assert passed, printed
    assert int(passed[1]) >= written >= 10, printed
    assert "skipped" not in printed


def test_no_framework_is_imported_by_a_guard() -> None:
    program = (
        "import sys; from brain.policy import Guard, PolicyEngine\n"
        "guard = Guard(PolicyEngine(default_effect='ALLOW'), agent='a1')\n"
        "assert guard.tool(lambda amount: amount, name='x')(5) == 5\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'agents', 'langchain_core', 'pydantic_ai', 'strands', 'smolagents', 'google'}))\n"
        "print(sorted(name for name in sys.modules if name.startswith('brain.policy.guards.frameworks.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()[-2:]
    assert first == "[]"
    assert second == "['brain.policy.guards.frameworks.action', 'brain.policy.guards.frameworks.objects']"
