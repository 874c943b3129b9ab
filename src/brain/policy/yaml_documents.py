"""Reads YAML and JSON files, and knows the line of each value, for error messages."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, ClassVar

import yaml

from brain import limits
from brain.errors import InvalidInput
from brain.kit.documents import read_text
from brain.neutral import plain_text
from brain.policy.yaml_faults import BLOCK, explained, too_deep

_BLOCKS = (">", "|")
_MAX_NODES = 5_000_000
_PLACE = re.compile(r"([A-Za-z_][\w-]*)|\[(\d+)\]")


# YAML 1.2's core schema: under 1.1, which PyYAML keeps to, `no` would be false, 12:30 the number 750, 1e5 a text.
_RESOLVED = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


class _Core:
    """The resolvers of the core schema, for a loader or dumper of PyYAML."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}


for _tag, _pattern, _firsts in _RESOLVED:
    for _first in _firsts:
        _entry = (_tag, re.compile(rf"(?:{_pattern})\Z"))
        _Core.yaml_implicit_resolvers.setdefault(_first.strip("\0"), []).append(_entry)


class _Loader(_Core, yaml.SafeLoader):
    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, 16 if text[:2] == "0x" else 10)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return float(str(self.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


class _Dumper(_Core, yaml.SafeDumper):
    pass


def dump_yaml(plain: object) -> str:
    """The value as YAML that `load_text` reads back to an equal one; ASCII where a character of it would act."""
    dumped = _dumped(plain, allow_unicode=True)
    return dumped if plain_text(dumped) == dumped else _dumped(plain, allow_unicode=False)


def _dumped(plain: object, allow_unicode: bool) -> str:
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode, width=120))


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """What a file says, and where it says it. `faults` are keys written twice, which would be lost otherwise."""

    name: str
    plain: Any
    root: yaml.Node
    faults: Sequence[str] = field(default=())

    def line(self, place: str) -> int:
        """The line, from 1, of a place such as `rules[2].conditions[0].value`, or of the closest around it."""
        return int(self._node(place).start_mark.line) + 1

    def _node(self, place: str) -> yaml.Node:
        node = self.root
        for name, number in _PLACE.findall(place):
            node = _child(node, int(number) if number else name)
        return node

    def hint(self, place: str) -> str:
        """What to add to a fault about the text at this place: YAML may have read another text than was meant."""
        node = self._node(place)
        return f" ({BLOCK})" if isinstance(node, yaml.ScalarNode) and node.style in _BLOCKS else ""

    def swallowed_by(self, place: str) -> str | None:
        """The place of the text of several lines beside this missing key that has the key's line in it, if one has."""
        parent, _, name = place.rpartition(".")
        node = self._node(parent)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(value, yaml.ScalarNode) and value.style in _BLOCKS and f"{name}:" in value.value:
                    return f"{parent}.{key.value}"
        return None

    def at(self, place: str) -> str:
        """`file:line` of a place."""
        return f"{self.name}:{self.line(place)}"

    def refuse(self, faults: Sequence[str]) -> None:
        """Raise InvalidInput when there are faults: it lists them in the order of their lines."""
        if faults:
            many = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
            raise InvalidInput(f"{self.name}: {many}; the whole file is refused", sorted(faults, key=self._line_of))

    def _line_of(self, fault: str) -> int:
        return int(fault.removeprefix(f"{self.name}:").partition(":")[0])


def load(path: Path) -> ParsedDocument:
    """The document in the file. Raises InvalidInput when it cannot be read."""
    return load_text(read_text(path), str(path))


def load_text(text: str, name: str) -> ParsedDocument:
    """The document in a text; JSON when it begins with a bracket or brace, else YAML. Raises InvalidInput."""
    is_json = text.lstrip()[:1] in ("{", "[")
    try:
        # YAML, which is asked for the lines of JSON too, does not take a tab for white space.
        root = yaml.compose(text.replace("\t", " ") if is_json else text, Loader=_Loader)
        if root is None:
            raise InvalidInput(f"{name}:1: is empty")
        if _size(root, {}) > _MAX_NODES:
            raise InvalidInput(f"{name}:1: with its aliases written out it has more than {_MAX_NODES:,} values")
        plain = _json_or_flow(text) if is_json else yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name}:{explained(error, text)}") from error
    except RecursionError as error:
        raise InvalidInput(f"{name}:{too_deep(text, 2 * limits.DEPTH)}") from error
    except ValueError as error:
        raise InvalidInput(f"{name}:1: not readable: {error}") from error
    return ParsedDocument(name, plain, root, tuple(_twice(root, name, set())))


def _json_or_flow(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return yaml.load(text, Loader=_Loader)  # YAML may begin so too; if it is neither, the error names the line


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
        super().__init__(value.tag, value.value, key.start_mark, value.end_mark, getattr(value, "style", None))


def _size(node: yaml.Node, known: dict[int, float]) -> float:
    """How many nodes there are when every alias is written out; inf when one contains itself."""
    if id(node) not in known:
        known[id(node)] = inf
        known[id(node)] = 1 + sum(_size(child, known) for child in _children(node))
    return known[id(node)]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _twice(node: yaml.Node, name: str, seen: set[int]) -> list[str]:
    """A fault for each key that a mapping has twice."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    faults = []
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    faults.append(f"{name}:{key.start_mark.line + 1}: {key.value}: is written twice")
                keys.add(key.value)
    return faults + [fault for child in _children(node) for fault in _twice(child, name, seen)]
