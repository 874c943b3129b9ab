"""Rules as YAML or JSON files, read with line numbers: a file with any fault is refused, with every fault listed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from brain.errors import InvalidInput
from brain.policy.models import Rule

VERSION = 1
_PLACE = re.compile(r"([A-Za-z_]\w*)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """The rules of a file, in its order, and for each rule's id the line (from 1) where it begins."""

    rules: tuple[Rule, ...]
    lines: Mapping[str, int]


def read_policy(path: Path | str) -> PolicyFile:
    """The rules in the file at `path`. Raises InvalidInput with every fault, each with its line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}") from error
    return parse_policy(text, str(path))


def parse_policy(text: str, name: str = "policy") -> PolicyFile:
    """The rules written in `text` as YAML or JSON: `version: 1` and `rules`, or just the list of rules."""
    plain, root = _loaded(text, name)
    faults: list[str] = []
    if isinstance(plain, list):
        plain = {"rules": plain}
        entries: yaml.Node | None = root
    else:
        entries = _child(root, "rules")
        if not isinstance(plain, dict) or not isinstance(plain.get("rules"), list):
            raise InvalidInput(f"{name}:1: not a policy file: it needs `rules`, a list")
        for key in plain:
            if key not in ("version", "rules", "description"):
                faults.append(
                    f"{name}:{_line(_child(root, key))}: {key}: unknown; known are version, description, rules"
                )
        if plain.get("version", VERSION) != VERSION:
            faults.append(f"{name}:{_line(_child(root, 'version'))}: version: {plain['version']!r} is not {VERSION}")
    rules: list[Rule] = []
    lines: dict[str, int] = {}
    for number, one in enumerate(plain["rules"]):
        node = _child(entries, number)
        try:
            rule = Rule.from_dict(one)
        except InvalidInput as error:
            faults += [f"{name}:{_line(_locate(node, fault))}: rules[{number}].{fault}" for fault in error.faults]
            continue
        if rule.id in lines:
            faults.append(f"{name}:{_line(node)}: rules[{number}].id: {rule.id!r} is taken by line {lines[rule.id]}")
        rules.append(rule)
        lines.setdefault(rule.id, _line(node))
    if faults:
        many = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InvalidInput(f"{name}: {many}; nothing was taken from it", faults)
    return PolicyFile(tuple(rules), lines)


def dump_policy(rules: Iterable[Rule], *, as_json: bool = False) -> str:
    """The rules as a policy file that `parse_policy` reads back to equal rules; defaults are left out."""
    document = {"version": VERSION, "rules": [_brief(rule) for rule in rules]}
    if as_json:
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))


def _brief(rule: Rule) -> dict[str, Any]:
    default = Rule(id=rule.id, name=rule.name, effect=rule.effect).to_dict()
    return {
        key: value
        for key, value in rule.to_dict().items()
        if key in ("id", "name", "effect", "conditions") or value != default[key]
    }


def _loaded(text: str, name: str) -> tuple[Any, yaml.Node]:
    is_json = text.lstrip()[:1] in ("{", "[")
    try:
        # In JSON a raw tab is white space; YAML, which is asked for the lines, does not take it.
        root = yaml.compose(text.replace("\t", " ") if is_json else text, Loader=yaml.SafeLoader)
        plain = json.loads(text) if is_json else yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"{name}:{line}: not readable: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise InvalidInput(f"{name}:{line}: not readable: {error}") from error
    if root is None:
        raise InvalidInput(f"{name}:1: is empty: it needs `rules`, a list")
    return plain, root


def _child(node: yaml.Node | None, key: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode) and isinstance(key, str):
        return next((value for name, value in node.value if name.value == key), node)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        found: yaml.Node = node.value[key]
        return found
    return node


def _locate(node: yaml.Node | None, fault: str) -> yaml.Node | None:
    """The node that a fault such as `conditions[2].operator: ...` speaks of, or the closest around it."""
    for name, number in _PLACE.findall(fault.partition(":")[0]):
        node = _child(node, int(number) if number else name)
    return node


def _line(node: yaml.Node | None) -> int:
    return node.start_mark.line + 1 if node is not None else 1
