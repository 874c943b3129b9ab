"""Test cases beside playbooks: an event, the playbooks that it starts, and their first step with its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from brain.charter import Pattern
from brain.errors import InvalidInput
from brain.kit.documents import read_bytes, yaml_in
from brain.playbooks.conditions import filled, holds
from brain.playbooks.models import Playbook


class CaseResult(msgspec.Struct, frozen=True):
    """How a case ended."""

    name: str
    passed: bool
    fault: str


def read_cases(path: Path) -> list[Mapping[str, Any]]:
    """The cases of a file: `cases:` with `name`, `event`, `starts` and perhaps `steps`. Raises InvalidInput."""
    document = yaml_in(read_bytes(path), f"cases: {path}")
    cases = document.get("cases") if isinstance(document, Mapping) else None
    if not isinstance(cases, list) or not cases or not all(_is_case(case) for case in cases):
        raise InvalidInput(f"cases: {path}: needs `cases:`, each with `name`, `event` (type, payload) and `starts`")
    return cases


def run_case(case: Mapping[str, Any], playbooks: Sequence[Playbook]) -> CaseResult:
    """Whether just the playbooks start that the case names, with the steps that it gives."""
    event = {"meta": {}, "payload": {}, "source": "", "id": "evt_case_0_000000000000", **case["event"]}
    started = [
        one
        for one in playbooks
        if any(Pattern(pattern).matches(event["type"]) for pattern in one.trigger) and holds(one.where, event)
    ]
    wanted, found = sorted(case["starts"]), sorted(one.name for one in started)
    if wanted != found:
        return CaseResult(case["name"], False, f"starts {', '.join(found) or 'nothing'}")
    if "steps" not in case:
        return CaseResult(case["name"], True, "")
    try:
        steps = [{step.kind: filled(step.options, event)} for one in started for step in one.steps]
    except InvalidInput as error:
        return CaseResult(case["name"], False, str(error))
    passed = steps == case["steps"]
    return CaseResult(case["name"], passed, "" if passed else f"steps are {steps}")


def _is_case(case: object) -> bool:
    if not isinstance(case, Mapping) or not isinstance(case.get("name"), str):
        return False
    event, starts = case.get("event"), case.get("starts")
    return isinstance(event, Mapping) and isinstance(event.get("type"), str) and isinstance(starts, list)
