"""The page of benchmarks begins with the budget: each line has a command, and what is short has its reason."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "benchmarks.md").read_text("utf-8")
BUDGET = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## The budget")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ")
][1:]
"""Its rows: what, goal, figure, command, whether it holds."""
OPEN = PAGE.partition("## Open")[2].partition("\n## ")[0]


def test_each_line_of_the_budget_says_whether_it_holds_and_by_which_command_that_is_seen() -> None:
    assert len(BUDGET) >= 30
    for what, goal, figure, command, verdict in BUDGET:
        assert "" not in (what, goal, figure), what
        assert verdict.split(";")[0] in ("holds", "short", "open"), what
        assert command.startswith("`"), what


def test_each_command_on_the_page_runs_a_script_that_is_there() -> None:
    named = set(re.findall(r"python -m bench\.(\w+)", PAGE))
    for scripts in re.findall(r"`(?:R|python -m bench --against \w+) ([^`]+)`", PAGE):
        named |= {script.strip('"').split()[0] for script in re.findall(r'"[^"]+"|\S+', scripts)}
    assert len(named) > 12
    assert [name for name in sorted(named) if not (PROJECT / "bench" / f"{name}.py").is_file()] == []


def test_what_is_short_has_its_reason_below() -> None:
    short = sum(not verdict.startswith("holds") for *_, verdict in BUDGET)
    assert OPEN.count("\n- **") >= short - 1, "one reason may be that of two lines"


@pytest.mark.parametrize(
    ("scripts", "message"),
    [([], "name a script"), (["start", "nothing --redis"], "bench/ has no script of the name nothing;")],
)
def test_a_comparison_without_a_script_that_is_there_is_refused(scripts: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        runpy.run_path(str(PROJECT / "bench" / "against.py"))["run"]("HEAD", scripts)
