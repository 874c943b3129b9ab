"""Turns trees into Python: one expression for each rule, which a dispatch runs for the events that the rule is about.

A test on a field with one text is spelt out, so that it costs one lookup and one comparison; what is rarer calls
`brain.detections.tests_of_values`. No text of a rule is ever part of the code: values are constants bound to names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from brain.detections import tests_of_values as tests
from brain.detections.models import Tree
from brain.detections.values import Lowered, Originals
from brain.regular_expressions import re2

Predicate = Callable[[Lowered, Originals], bool]
Matcher = Callable[[Lowered, Originals], list[int]]

_INLINE = {
    "eq": ("v == {}", tests.any_eq),
    "in": ("v in {}", tests.any_in),
    "part": ("{} in v", tests.any_part),
    "starts": ("v.startswith({})", tests.any_starts),
    "ends": ("v.endswith({})", tests.any_ends),
}
FEW_PARTS = 16
"""Parts of a text up to which the search for each is spelt out."""
MANY_PARTS = 60
"""Parts of a text from which one search for all of them is quicker than one for each."""
_CALLS = {"parts": tests.parts_in, "pieces": tests.any_pieces}
_CASED = "="
"""At the end of a test's name: capitals matter."""


class Compiler:
    """Collects constants while it writes expressions; `matcher` makes one function of them."""

    def __init__(self) -> None:
        self._constants: dict[str, Any] = {"str": str, "type": type}
        self._names: dict[tuple[str, Any], str] = {}

    def matcher(self, trees: Sequence[Tree]) -> Matcher:
        """A function that gives the indices of the trees that hold for an event."""
        lines = ["def match(low, raw):", " hits = []"]
        for number, tree in enumerate(trees):
            lines += [f" if {self.expression(tree)}:", f"  hits.append({number})"]
        made: Matcher = self._defined([*lines, " return hits"], "match")
        return made

    def predicate(self, tree: Tree) -> Predicate:
        """A function that says whether the tree holds for an event."""
        made: Predicate = self._defined(["def holds(low, raw):", f" return {self.expression(tree)}"], "holds")
        return made

    def expression(self, tree: Tree) -> str:
        """Python for the tree."""
        kind = tree[0]
        if kind == "not":
            return f"(not {self.expression(tree[1])})"
        if kind in ("and", "or"):
            return self._joined(kind, tree[1])
        return self._test(tree[1], tree[2])

    def _joined(self, kind: str, trees: Sequence[Tree]) -> str:
        if kind == "or":
            trees = _grouped(trees)
        written = [self.expression(tree) for tree in trees]
        if not written:
            return str(kind == "and")
        return written[0] if len(written) == 1 else f"({f' {kind} '.join(written)})"

    def _test(self, field: str, test: Sequence[Any]) -> str:
        name, *arguments = test
        cased = name.endswith(_CASED)
        name = name.removesuffix(_CASED)
        value = f"{'raw' if cased else 'low'}[{self._constant(field)}]"
        if name in _INLINE:
            inline, several = _INLINE[name]
            constant = self._constant(_bound(arguments[0]))
            call = f"{self._constant(several)}(v, {constant})"
            return f"({inline.format(constant)} if type(v := {value}) is str else {call})"
        if name == "parts" and len(arguments[0]) <= FEW_PARTS:
            constant = self._constant(_bound(arguments[0]))
            inline = " or ".join(f"{self._constant(part)} in v" for part in arguments[0]) or "False"
            call = f"{self._constant(tests.parts_in)}(v, {constant})"
            return f"(({inline}) if type(v := {value}) is str else {call})"
        if name == "parts" and len(arguments[0]) > MANY_PARTS:
            pattern = "|".join(re2.escape(part) for part in sorted(arguments[0]))
            search = self._constant(tests.compile_pattern(pattern), key=("parts", pattern))
            return f"{self._constant(tests.any_search)}({value}, {search})"
        if name in _CALLS:
            return f"{self._constant(_CALLS[name])}({value}, {self._constant(_bound(arguments[0]))})"
        return self._rare(field, value, name, arguments)

    def _rare(self, field: str, value: str, name: str, arguments: Sequence[Any]) -> str:
        raw = f"raw[{self._constant(field)}]"
        match name:
            case "empty":
                return f"{self._constant(tests.is_empty)}({value})"
            case "some":
                return f"(v != '' if type(v := {raw}) is str else {self._constant(tests.is_some)}(v))"
            case "exists":
                return f"(raw.has({self._constant(field)}) is {bool(arguments[0])})"
            case "re" | "glob":
                where = raw if name == "re" else value
                search = self._constant(tests.compile_pattern(arguments[0]), key=("re", arguments[0]))
                return f"{self._constant(tests.any_search)}({where}, {search})"
            case "compare":
                op, number = arguments
                return f"{self._constant(tests.any_compare)}({value}, {self._constant(op)}, {self._constant(number)})"
            case "within":
                network = self._constant(ipaddress.ip_network(arguments[0]), key=("net", arguments[0]))
                return f"{self._constant(tests.any_within)}({raw}, {network})"
            case "same":
                other, mode = arguments
                call = self._constant(tests.any_same)
                return f"{call}({value}, low[{self._constant(other)}], {self._constant(mode)})"
            case "moment":
                part, number = arguments
                call = self._constant(tests.any_moment)
                return f"{call}({raw}, {self._constant(part)}, {self._constant(number)})"
        raise ValueError(f"no test is named {name!r}")

    def _constant(self, value: Any, key: tuple[str, Any] | None = None) -> str:
        key = key or (type(value).__name__, value)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = f"c{len(self._names)}"
            self._constants[name] = value
        return name

    def _defined(self, lines: Sequence[str], name: str) -> Any:
        exec(compile("\n".join(lines), "<detections>", "exec"), self._constants)  # no text of a rule is in the code
        return self._constants.pop(name)


def _bound(value: Any) -> Any:
    """The value as a constant that can be a key."""
    return tuple(value) if isinstance(value, list) else value


def _grouped(trees: Sequence[Tree]) -> list[Tree]:
    """The trees of an "or", with equal tests on one field made one: a lookup in place of many comparisons."""
    groups: dict[tuple[str, str], list[Any]] = {}
    others: list[Tree] = []
    for tree in trees:
        if tree[0] == "field" and tree[2][0].removesuffix(_CASED) in ("eq", "starts", "ends", "part"):
            groups.setdefault((tree[1], tree[2][0]), []).append(tree[2][1])
        else:
            others.append(tree)
    made: list[Tree] = []
    for (field, test), found in groups.items():
        if len(found) == 1:
            made.append(("field", field, (test, found[0])))
            continue
        name = test.removesuffix(_CASED)
        several = {"eq": "in", "part": "parts"}.get(name, name) + test[len(name) :]
        values: Any = frozenset(found) if name == "eq" else tuple(found)
        made.append(("field", field, (several, values)))
    return [*made, *others]
