"""Rules as YAML or JSON files, read with line numbers: a file with any fault is refused, with every fault listed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain.errors import InvalidInput
from brain.neutral import json_bytes
from brain.policy.containment import reserved
from brain.policy.models import EVERYONE, Rule, lets_everyone
from brain.policy.yaml_documents import ParsedDocument, dump_yaml, load, load_text

VERSION = 1
_FORGOTTEN = "conditions: are missing, and so this ALLOW lets everybody do everything"


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The rules of a file, in its order, and for each rule's id the line (from 1) where it begins."""

    rules: tuple[Rule, ...]
    lines: Mapping[str, int]


def read_policy(path: Path | str) -> PolicyFile:
    """The rules in the file at `path`. Raises InvalidInput with every fault, each with its line."""
    return _parsed(load(Path(path)))


def parse_policy(text: str, name: str = "policy") -> PolicyFile:
    """The rules written in `text` as YAML or JSON: `version: 1` and `rules`, or just the list of rules."""
    return _parsed(load_text(text, name))


def rule_from(plain: object) -> Rule:
    """The rule as a file or a request writes it. Raises InvalidInput as Rule.from_dict does, and for an ALLOW that has
    neither conditions nor `everyone: true`.
    """
    rule = Rule.from_dict(plain)
    if lets_everyone(rule) and not (isinstance(plain, Mapping) and plain.get(EVERYONE)):
        fault = f"{_FORGOTTEN}; add conditions, or say `{EVERYONE}: true`"
        raise InvalidInput(f"rule {rule.id!r} is not valid: {fault}", [fault])
    return rule


def written(rule: Rule) -> dict[str, Any]:
    """The rule as `rule_from` reads it."""
    return {**rule.to_dict(), EVERYONE: lets_everyone(rule)}


def rules_from(listed: Sequence[object]) -> list[Rule]:
    """The rules written as plain objects. Raises InvalidInput with every fault of every rule, each with its place."""
    rules: list[Rule] = []
    faults: list[str] = []
    for number, one in enumerate(listed):
        try:
            rules.append(rule_from(one))
        except InvalidInput as error:
            faults += [f"rules[{number}].{fault}" for fault in error.faults]
    if faults:
        raise InvalidInput("the rules are not valid; all of them are refused", faults)
    return rules


def _parsed(document: ParsedDocument) -> PolicyFile:
    plain = document.plain
    faults: list[str] = []
    if isinstance(plain, list):
        listed, prefix = plain, ""
    else:
        if not isinstance(plain, dict) or not isinstance(plain.get("rules"), list):
            raise InvalidInput(f"{document.at('')}: is no policy file; give it `rules`, a list")
        listed, prefix = plain["rules"], "rules"
        unknown = [str(key) for key in plain if key not in ("version", "description", "rules")]
        faults += [f"{document.at(key)}: {key}: unknown; known are version, description, rules" for key in unknown]
        if plain.get("version", VERSION) != VERSION:
            faults.append(
                f"{document.at('version')}: version: {plain['version']!r} is unknown; write `version: {VERSION}`"
            )
    faults += document.faults
    rules: list[Rule] = []
    lines: dict[str, int] = {}
    for number, one in enumerate(listed):
        place = f"{prefix}[{number}]"
        try:
            rule = rule_from(one)
        except InvalidInput as error:
            faults += [_placed(document, place, one, fault) for fault in error.faults]
            continue
        if rule.id in lines:
            faults.append(f"{document.at(place)}: {place}.id: {rule.id!r} is taken by line {lines[rule.id]}")
        faults += [_placed(document, place, one, fault) for fault in reserved(rule)]
        rules.append(rule)
        lines.setdefault(rule.id, document.line(place))
    document.refuse(faults)
    return PolicyFile(tuple(rules), lines)


def _placed(document: ParsedDocument, place: str, rule: object, fault: str) -> str:
    """The fault of a rule with its line."""
    where = f"{place}.{fault}" if isinstance(rule, dict) else f"{place}: {fault}"
    at = where.partition(":")[0]
    if fault.endswith(": is missing") and (text := document.swallowed_by(at)) is not None:
        return f"{document.at(text)}: {text}: has swallowed the lines below it{document.hint(text)}"
    return f"{document.at(at)}: {where}{document.hint(at)}"


def dump_policy(rules: Iterable[Rule], *, as_json: bool = False) -> str:
    """The rules as a policy file that `parse_policy` reads back to equal rules; defaults are left out."""
    document = {"version": VERSION, "rules": [_brief(rule) for rule in rules]}
    if as_json:
        return json_bytes(json.dumps(document, indent=2, ensure_ascii=False).encode()).decode() + "\n"
    return dump_yaml(document)


def _brief(rule: Rule) -> dict[str, Any]:
    default = written(Rule(id=rule.id, name=rule.name, effect="DENY"))
    always = ("id", "name", "effect") if lets_everyone(rule) else ("id", "name", "effect", "conditions")
    return {key: value for key, value in written(rule).items() if key in always or value != default[key]}
