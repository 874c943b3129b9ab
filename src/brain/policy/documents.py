"""YAML and JSON files read so that every fault can be told with its line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from brain.errors import InvalidInput

_PLACE = re.compile(r"([A-Za-z_][\w-]*)|\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says, and where it says it. `faults` are keys written twice, which would be lost otherwise."""

    name: str
    plain: Any
    root: yaml.Node
    faults: Sequence[str] = field(default=())

    def line(self, place: str) -> int:
        """The line, from 1, of a place such as `rules[2].conditions[0].value`, or of the closest around it."""
        node = self.root
        for name, number in _PLACE.findall(place):
            node = _child(node, int(number) if number else name)
        return int(node.start_mark.line) + 1

    def at(self, place: str) -> str:
        """`file:line` of a place."""
        return f"{self.name}:{self.line(place)}"

    def refuse(self, faults: Sequence[str]) -> None:
        """Raise InvalidInput when there are faults."""
        if faults:
            many = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
            raise InvalidInput(f"{self.name}: {many}; nothing was taken from it", faults)


def load(path: Path) -> Document:
    """The document in the file. Raises InvalidInput when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}") from error
    return load_text(text, str(path))


def load_text(text: str, name: str) -> Document:
    """The document in a text; JSON when it begins with a bracket or brace, else YAML. Raises InvalidInput."""
    is_json = text.lstrip()[:1] in ("{", "[")
    try:
        # YAML, which is asked for the lines of JSON too, does not take a tab for white space.
        root = yaml.compose(text.replace("\t", " ") if is_json else text, Loader=yaml.SafeLoader)
        plain = _json_or_flow(text) if is_json else yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"{name}:{line}: not readable: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{name}:1: not readable: {error}") from error
    if root is None:
        raise InvalidInput(f"{name}:1: is empty")
    return Document(name, plain, root, tuple(_twice(root, name)))


def _json_or_flow(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)  # YAML may begin with a bracket too; if it is neither, this tells the line


def _child(node: yaml.Node, key: str | int) -> yaml.Node:
    if isinstance(node, yaml.MappingNode) and isinstance(key, str):
        for name, value in node.value:
            if name.value == key:
                # The line of a value that begins on a line of its own is less telling than that of its key.
                return value if isinstance(value, yaml.CollectionNode) else _Placed(name, value)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        found: yaml.Node = node.value[key]
        return found
    return node


class _Placed(yaml.ScalarNode):
    def __init__(self, key: yaml.Node, value: yaml.Node) -> None:
        super().__init__(value.tag, value.value, key.start_mark, value.end_mark)


def _twice(node: yaml.Node, name: str) -> list[str]:
    faults = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                faults.append(f"{name}:{key.start_mark.line + 1}: {key.value}: is written twice")
            seen.add(key.value)
            faults += _twice(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for member in node.value:
            faults += _twice(member, name)
    return faults
