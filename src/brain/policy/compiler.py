"""The compiled rule set: an immutable index that finds the deciding rule in a few dictionary look-ups.

Rules are filed by the fields they fix with `==` or `in` (their signature): one table per signature, dictionaries
nested field by field, at whose end hang the rules with these values, linked in order of precedence. A decision walks
once down each table, whatever the number of rules. What the keys cannot say (`>`, `matches`, ...) is a prepared test.
A change makes a new index that shares everything it does not touch with the old one, which goes on unchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import inf, prod
from sys import intern
from typing import Any, Final, Literal

from brain.charter import Effect
from brain.policy.decisions import Decision, decision_of, default_decision
from brain.policy.models import Condition, Rule
from brain.policy.normalisation import PLAIN, Opaque, unwrap
from brain.policy.operators import Operator
from brain.policy.predicates import Doubt, Test, test_of, weigh
from brain.policy.values import MISSING, Path, path_of, resolve, step

HOT: tuple[Path, ...] = (("agent_role",), ("action",), ("resource",), ("agent_id",))
"""Fields that make up a signature when a rule fixes them; a rule that fixes none is filed by one other field."""

MAX_KEYS = 256
"""Into how many places one rule may be filed by its `in` lists before the longest list becomes a test instead."""

Order = tuple[float, int, str]
Key = tuple[Any, ...]
Signature = tuple[Path, ...]

RuleEntry = tuple[Test | None, Any, Order, Decision, Any, Sequence[Condition]]
"""One rule where it is filed; a plain tuple, whose members Python reaches several times as fast as named ones.

The test (None when the keys alone say that the rule matches), its operand, the rule's order, its decision, what is
asked next when the test fails (None: nothing), and all conditions of the rule.
"""
TEST: Final = 0
OPERAND: Final = 1
ORDER: Final = 2
DECISION: Final = 3
NEXT: Final = 4
CONDITIONS: Final = 5

Mismatch = Literal["unknown", "false"]
"""What a condition is whose value cannot be compared with the rule's."""

Find = Callable[[Mapping[str, Any]], RuleEntry]


@dataclass(frozen=True, slots=True)
class Table:
    """The rules of one signature. `root` is an Entry under a dictionary for each path; `best` is the first in order."""

    paths: Signature
    root: Any
    best: Order


class Index:
    """An immutable compiled set of rules. `find(context)` gives the entry that decides, and never raises."""

    __slots__ = ("default", "find", "mismatch", "tables")

    def __init__(self, tables: Iterable[Table], default: RuleEntry, mismatch: Mismatch) -> None:
        self.mismatch: Mismatch = mismatch
        self.tables: tuple[Table, ...] = tuple(sorted(tables, key=lambda table: table.best))
        self.default: RuleEntry = default
        make = _factory(tuple(table.paths for table in self.tables))
        self.find: Find = make(default, self._find_carefully, [(table.root, table.best) for table in self.tables])

    @staticmethod
    def of(rules: Iterable[Rule], default: Effect = Effect.DENY, mismatch: Mismatch = "unknown") -> Index:
        """The index of these rules, all of which take part."""
        by_signature: dict[Signature, dict[Key, list[RuleEntry]]] = {}
        for rule in rules:
            paths, keys, entry = filed(rule)
            places = by_signature.setdefault(paths, {})
            for key in keys:
                places.setdefault(key, []).append(entry)
        tables = [_table(paths, places) for paths, places in by_signature.items() if places]
        return Index(tables, _default_entry(default), mismatch)

    def changed(self, without: Iterable[Rule], plus: Iterable[Rule]) -> Index:
        """The index without some rules that are in it, and with some that are not."""
        tables = {table.paths: table for table in self.tables}
        for rule in without:
            paths, keys, entry = filed(rule)
            if not keys:
                continue
            root = tables[paths].root
            for key in keys:
                root = _refiled(root, key, gone=entry[ORDER])
            if root is None:
                del tables[paths]
            else:
                best = tables[paths].best
                tables[paths] = Table(paths, root, best if best != entry[ORDER] else _best(root))
        for rule in plus:
            paths, keys, entry = filed(rule)
            if not keys:
                continue
            old = tables.get(paths)
            root = old.root if old else None
            for key in keys:
                root = _refiled(root, key, new=entry)
            tables[paths] = Table(paths, root, min(entry[ORDER], old.best) if old else entry[ORDER])
        return Index(tables.values(), self.default, self.mismatch)

    def _find_carefully(self, context: Mapping[str, Any]) -> RuleEntry:
        """As `find`, for any context: a field may be missing, and a value of any type, or such as cannot be compared.

        An unknown DENY or AUDIT rule counts as matched, an unknown ALLOW or WARN as not; the reason says so.
        """
        found, matched, passed_over = self.default, None, []
        for table in self.tables:
            for first, certain in _chains(table, context):
                entry = first
                while entry is not None and entry[ORDER] < found[ORDER]:
                    answer = _weigh_entry(entry, context, certain)
                    if isinstance(answer, Doubt):
                        if self.mismatch == "false":
                            answer = False
                        elif not entry[DECISION].effect.is_strict:
                            passed_over.append((entry[ORDER], entry[DECISION], answer))
                    if answer is True or (isinstance(answer, Doubt) and entry[DECISION].effect.is_strict):
                        found, matched = entry, answer
                        break
                    entry = entry[NEXT]
        if isinstance(matched, Doubt):
            return _because(found, f"matched because {matched}")
        outranking = [one for one in passed_over if one[0] < found[ORDER]]
        if outranking:
            _, decision, doubt = min(outranking, key=lambda one: one[0])
            return _because(found, f"rule {decision.rule_name!r} ({decision.rule_id}) does not match because {doubt}")
        return found


def _chains(table: Table, context: Mapping[str, Any]) -> list[tuple[RuleEntry, bool]]:
    """The chains of a table's rules that may match, each with whether their keys are certain to be the context's."""
    nodes: list[tuple[Any, bool]] = [(table.root, True)]
    for path in table.paths:
        value = unwrap(resolve(path, context))
        if type(value) is Opaque or value != value:  # any of the keys, for all that is known
            nodes = [(below, False) for node, _ in nodes for below in node.values()]
        elif isinstance(value, (list, dict)):
            return []
        else:
            nodes = [(node[value], certain) for node, certain in nodes if value in node]
    return nodes


def _weigh_entry(entry: RuleEntry, context: Mapping[str, Any], certain: bool) -> bool | Doubt:
    if certain:
        test = entry[TEST]
        try:
            return test is None or test(context, entry[OPERAND])
        except Exception:  # noqa: BLE001, S110  (Unknown, or what a value of the caller's own type raises: asked below)
            pass
    return weigh(entry[CONDITIONS], context)


def _because(entry: RuleEntry, why: str) -> RuleEntry:
    test, operand, order, decision, after, conditions = entry
    return (test, operand, order, replace(decision, reason=f"{decision.reason} ({why})"), after, conditions)


def _order(entry: RuleEntry) -> Order:
    return entry[ORDER]


def _linked(entries: Sequence[RuleEntry]) -> RuleEntry | None:
    """The first of these entries, which are in order, each linked to the one after it."""
    first: RuleEntry | None = None
    for entry in reversed(entries):
        if entry[NEXT] is first:
            first = entry
        else:
            test, operand, order, decision, _, conditions = entry
            first = (test, operand, order, decision, first, conditions)
    return first


def _table(paths: Signature, places: Mapping[Key, list[RuleEntry]]) -> Table:
    root: Any = {}
    for key, entries in places.items():
        first = _linked(sorted(entries, key=_order))
        if not key:
            root = first
            break
        node = root
        for value in key[:-1]:
            node = node.setdefault(value, {})
        node[key[-1]] = first
    return Table(paths, root, _best(root))


def _refiled(node: Any, key: Key, *, gone: Order | None = None, new: RuleEntry | None = None) -> Any:
    """A copy of `node` in which the rule of order `gone` or the entry `new` is out of or in the chain under `key`.

    None when nothing is left.
    """
    if not key:
        chain = [] if new is None else [new]
        while node is not None:
            if node[ORDER] != gone:
                chain.append(node)
            node = node[NEXT]
        return _linked(sorted(chain, key=_order))
    copy = dict(node or {})
    below = _refiled(copy.get(key[0]), key[1:], gone=gone, new=new)
    if below is None:
        copy.pop(key[0], None)
    else:
        copy[key[0]] = below
    return copy or None


def _best(node: Any) -> Order:
    """The first order anywhere below `node`."""
    if isinstance(node, dict):
        return min(map(_best, node.values()))
    order: Order = node[ORDER]
    return order


def _default_entry(effect: Effect) -> RuleEntry:
    return (None, None, (inf, 9, ""), default_decision(effect), None, ())


def filed(rule: Rule) -> tuple[Signature, list[Key], RuleEntry]:
    """Where the rule belongs: the signature, the keys it is filed under, and its entry there."""
    keys_by_path, rest = _signature(rule)
    entry: RuleEntry = (*test_of(rest), rule.order, decision_of(rule), None, rule.conditions)
    return tuple(keys_by_path), list(product(*keys_by_path.values())), entry


def signature_values(rule: Rule) -> dict[Path, Any]:
    """For each field that the rule fixes, the first value it may have."""
    values: dict[Path, Any] = {}
    for condition in rule.conditions:
        wanted = _key_values(condition)
        if wanted:
            values.setdefault(path_of(condition.field), wanted[0])
    return values


def _signature(rule: Rule) -> tuple[dict[Path, Sequence[Any]], list[Condition]]:
    """Which fields file the rule, under which values, and the conditions that remain to be tested."""
    candidates: dict[Path, tuple[Condition, Sequence[Any]]] = {}
    for condition in rule.conditions:
        values = _key_values(condition)
        if values is not None:
            candidates.setdefault(path_of(condition.field), (condition, values))
    chosen = {path: candidates[path] for path in HOT if path in candidates}
    if not chosen and candidates:
        first = min(candidates, key=lambda path: (len(candidates[path][1]), path))
        chosen = {first: candidates[first]}
    while len(chosen) > 1 and prod(len(values) for _, values in chosen.values()) > MAX_KEYS:
        del chosen[max(chosen, key=lambda path: len(chosen[path][1]))]
    settled = {id(condition) for condition, values in chosen.values() if not any(map(_ambiguous, values))}
    rest = [condition for condition in rule.conditions if id(condition) not in settled]
    return {path: values for path, (_, values) in chosen.items()}, rest


def _key_values(condition: Condition) -> Sequence[Any] | None:
    """The values that file a rule with this condition, or None when it cannot be looked up.

    None is what a missing field looks like in a key, so a rule that asks for null is tested instead.
    """
    if condition.operator is Operator.EQ:
        values: Sequence[Any] = [condition.value]
    elif condition.operator is Operator.IN:
        values = condition.value
    else:
        return None
    if not all(isinstance(value, (str, int, float)) for value in values):
        return None
    # One object for each text, in however many dictionaries it is a key: it stays in the processor's cache.
    return list(dict.fromkeys(intern(value) if isinstance(value, str) else value for value in values))


def _ambiguous(value: Any) -> bool:
    """Whether a dictionary takes the value for another: `true` for 1. Then the exact test is kept besides the key."""
    return not isinstance(value, str) and value in (0, 1)


@lru_cache(maxsize=1_000)
def _factory(shape: tuple[Signature, ...]) -> Callable[..., Find]:
    """A function that makes `find` for tables of these signatures: straight code, one walk down each table.

    It takes for granted that the fields are there; when one is not, `gently` starts again and asks for each. When a
    value is of an odd type, or cannot be compared, `carefully` does.
    """
    shared = {path for path, uses in Counter(path for paths in shape for path in paths).items() if uses > 1}
    lines = ["def make(default, carefully, tables):"]
    lines += [f"    root{number}, best{number} = tables[{number}]" for number in range(len(shape))]
    for name, read in (("gently", "c.get({!r})"), ("find", "c[{!r}]")):
        lines += [f"    def {name}(c):", "        try:", "            found = default"]
        reads = {path: _reading(path, read) for paths in shape for path in paths}
        for number, paths in enumerate(shape):
            # Tables are sorted by their best rule: once that cannot win, none of the following can.
            if number:
                lines.append(f"            if best{number} > found[2]: return found")
            lines += [
                "            " + line for line in (*_hoisted(paths, shared, reads), *_descent(number, paths, reads))
            ]
        if name == "find":
            lines += ["        except KeyError:", "            return gently(c)"]
        lines += ["        except Exception:", "            return carefully(c)", "        return found"]
    lines.append("    return find")
    known: dict[str, Any] = {"step": step, "kind": type, "plain": PLAIN | {type(MISSING)}}
    exec(compile("\n".join(lines), f"<policy index of {len(shape)} tables>", "exec"), known)
    make: Callable[..., Find] = known["make"]
    return make


def _reading(path: Path, read: str) -> str:
    value = read.format(path[0])
    for key in path[1:]:
        value = f"step({value}, {key!r})"
    return value


def _odd(value: str) -> str:
    """Whether a value is of a type that may equal a key without being found under it, such as an enum."""
    return f"kind({value}) is not str and kind({value}) not in plain"


def _hoisted(paths: Signature, shared: Collection[Path], reads: dict[Path, str]) -> list[str]:
    """Lines that read, once for all tables to come, the fields that several tables ask for."""
    lines = []
    for path in paths:
        if path in shared and not reads[path].isidentifier():
            name = f"v{sum(map(str.isidentifier, reads.values()))}"
            lines += [f"{name} = {reads[path]}", f"if {_odd(name)}: return carefully(c)"]
            reads[path] = name
    return lines


def _descent(number: int, paths: Signature, reads: Mapping[Path, str]) -> list[str]:
    """Lines that walk down one table. A value that finds its equal is that; only one that does not may be odd."""
    lines = [] if paths else [f"e = root{number}"]
    indent, node = "", f"root{number}"
    for path in paths:
        # What takes a call to read is kept in a name; any other value is sooner read again, when nothing is found.
        read = reads[path] if len(path) == 1 or reads[path].isidentifier() else f"v := {reads[path]}"
        lines += [f"{indent}e = {node}.get({read})", f"{indent}if e is not None:"]
        indent, node = indent + "    ", "e"
    ahead = "while True:" if number == 0 else "while e[2] < found[2]:"
    lines += [indent + ahead, f"{indent}    test = e[0]"]
    lines += [f"{indent}    if test is None or test(c, e[1]):", f"{indent}        found = e", f"{indent}        break"]
    lines += [f"{indent}    e = e[4]", f"{indent}    if e is None: break"]
    for path in reversed(paths):
        indent = indent[4:]
        if not reads[path].isidentifier():
            lines.append(f"{indent}elif {_odd(reads[path] if len(path) == 1 else 'v')}: return carefully(c)")
    return lines
