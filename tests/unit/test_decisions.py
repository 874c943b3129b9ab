"""A decision in docs/decisions is short: its number and title, context, choice and cost."""

from __future__ import annotations

import re
from pathlib import Path

DECISIONS = sorted((Path(__file__).parents[2] / "docs" / "decisions").glob("*.md"))
LINES = 20
FORM = 39
"""The first decision in today's form; those before it say the same in other forms."""


def test_each_decision_says_context_choice_and_cost_under_its_number() -> None:
    assert len(DECISIONS) > 70
    wrong = {}
    for path in DECISIONS:
        text = path.read_text("utf-8")
        title = re.match(r"# 0*(\d+)[.:] \S", text)
        parts = re.findall(r"^(?:\*\*)?(Context|Choice|Cost)[.:]", text, re.M)
        right = title is not None and int(title[1]) == int(path.name[:4])
        short = parts == ["Context", "Choice", "Cost"] and len(text.splitlines()) <= LINES
        if not right or (int(path.name[:4]) >= FORM and not short):
            wrong[path.name] = (parts, len(text.splitlines()))
    assert wrong == {}


def test_no_two_decisions_have_one_number() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert sorted({number for number in numbers if numbers.count(number) > 1}) == []
