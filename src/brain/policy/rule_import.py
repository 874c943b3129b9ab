"""Imports of a set of rules: which are refused, and what an import changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from brain.errors import InvalidInput
from brain.policy.containment import reserved
from brain.policy.history import Change
from brain.policy.models import Rule, changes


class ImportResult(NamedTuple):
    """The ids of the rules that an import made, changed and removed, and how many it found as wanted."""

    created: list[str]
    updated: list[str]
    deleted: list[str]
    unchanged: int


def check_import(given: list[Rule]) -> None:
    """Raises InvalidInput when two rules have the same id, or one has an id or a tag that is kept for measures."""
    seen: set[str] = set()
    faults = []
    for rule in given:
        if rule.id in seen:
            faults.append(f"id: {rule.id!r} is the id of two rules; give each rule its own")
        faults += reserved(rule)
        seen.add(rule.id)
    if faults:
        raise InvalidInput("the rules are not valid", faults)


def differences(known: Mapping[str, Rule], wanted: Mapping[str, Rule], replace_all: bool) -> list[Change]:
    """What makes `known` into `wanted`; rules that are not wanted go only with `replace_all`."""
    found = [Change(known.get(rule_id), rule) for rule_id, rule in wanted.items()]
    found = [change for change in found if change.old is None or changes(change.old, change.rule)]
    if replace_all:
        gone = [rule for rule in known.values() if rule.id not in wanted]
        found += [Change(rule, None) for rule in gone]
    return found
