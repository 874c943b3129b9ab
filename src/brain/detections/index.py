"""Finds the few of many rules that an event can match, by texts that a rule cannot match without.

For each rule one set of needs is chosen of which at least one must be there: a field with a certain text, a part of a
text, or just the field. Parts are found by pieces of four characters: every fourth piece of a text is looked up, and
four of each part are known, one of which must be among those. So a look costs as the text is long.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from brain.detections.models import Tree
from brain.detections.values import Lowered

PIECE = 4
"""Characters of the pieces that parts of texts are found by, and the step from one piece of a text to the next."""
_LONG = 2 * PIECE - 1  # a part of this length holds one of those pieces wherever it stands
_MOST_NEEDS = 400  # more of them cost more than asking the rule

Need = tuple[str, str, str]
"""("eq", field, text), ("part", field, text) or ("there", field, "")."""


class _Parts(NamedTuple):
    """The parts that are looked for in one field, by piece; the short ones; and the rules that need each."""

    pieces: dict[str, tuple[str, ...]]
    short: tuple[str, ...]
    rules: dict[str, tuple[int, ...]]


class RuleIndex:
    """The rules, by what they need. `candidates` gives the indices of those to ask, in order."""

    def __init__(self, trees: Sequence[Tree]) -> None:
        equal: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        parts: dict[str, list[tuple[str, int]]] = defaultdict(list)
        there: dict[str, list[int]] = defaultdict(list)
        always: list[int] = []
        for number, tree in enumerate(trees):
            needs = needed(tree)
            if needs is None or len(needs) > _MOST_NEEDS:
                always.append(number)
                continue
            for kind, field, text in needs:
                if kind == "eq":
                    equal[field][text].append(number)
                elif kind == "part":
                    parts[field].append((text, number))
                else:
                    there[field].append(number)
        self._always = tuple(always)
        self._equal = {field: {text: tuple(numbers) for text, numbers in by.items()} for field, by in equal.items()}
        self._parts = {field: _pieces(wanted) for field, wanted in parts.items()}
        self._there = {field: tuple(numbers) for field, numbers in there.items()}

    def candidates(self, low: Lowered) -> list[int]:
        """The rules that the event can match."""
        found = set(self._always)
        for field, by_text in self._equal.items():
            for text in _several(low[field]):
                if (numbers := by_text.get(text)) is not None:
                    found.update(numbers)
        for field, parts in self._parts.items():
            for text in _several(low[field]):
                pieces = {text[at : at + PIECE] for at in range(0, len(text) - PIECE + 1, PIECE)}
                for piece in pieces & parts.pieces.keys():
                    for part in parts.pieces[piece]:
                        if part in text:
                            found.update(parts.rules[part])
                for part in parts.short:
                    if part in text:
                        found.update(parts.rules[part])
        for field, numbers in self._there.items():
            if low[field] is not None:
                found.update(numbers)
        return sorted(found)


def _several(texts: Any) -> Iterable[str]:
    return (texts,) if type(texts) is str else texts or ()


def _pieces(wanted: Sequence[tuple[str, int]]) -> _Parts:
    """Each part under those of its pieces that follow each other and are the rarest."""
    rules: dict[str, list[int]] = defaultdict(list)
    for text, number in wanted:
        rules[text].append(number)
    common: Counter[str] = Counter()
    for text in rules:
        common.update(set(_all_pieces(text)))
    pieces: dict[str, list[str]] = defaultdict(list)
    for text in rules:
        if len(text) >= _LONG:
            known = _all_pieces(text)
            starts = range(len(known) - PIECE + 1)
            rarest = min(starts, key=lambda start: sum(common[piece] for piece in known[start : start + PIECE]))
            for piece in set(known[rarest : rarest + PIECE]):
                pieces[piece].append(text)
    return _Parts(
        {piece: tuple(texts) for piece, texts in pieces.items()},
        tuple(text for text in rules if len(text) < _LONG),
        {text: tuple(numbers) for text, numbers in rules.items()},
    )


def _all_pieces(text: str) -> list[str]:
    return [text[at : at + PIECE] for at in range(len(text) - PIECE + 1)]


def needed(tree: Tree) -> frozenset[Need] | None:
    """Needs of which one must be there for the tree to hold; None when it can hold without any."""
    match tree[0]:
        case "and":
            known = [needs for inner in tree[1] if (needs := needed(inner)) is not None]
            return min(known, key=_cost) if known else None
        case "or":
            union: set[Need] = set()
            for inner in tree[1]:
                needs = needed(inner)
                if needs is None:
                    return None
                union |= needs
            return frozenset(union) if union else None
        case "not":
            return None
    return _needed_by_test(tree[1], tree[2])


def _needed_by_test(field: str, test: Sequence[Any]) -> frozenset[Need] | None:
    name, cased = test[0].removesuffix("="), test[0].endswith("=")
    if name in ("eq", "part", "starts", "ends"):
        text = test[1].lower() if cased else test[1]
        if not text:
            return frozenset({("there", field, "")})
        return frozenset({("eq" if name == "eq" else "part", field, text)})
    if name == "pieces":
        longest = max(test[1], key=len)
        return frozenset({("part", field, longest.lower() if cased else longest)})
    if name in ("empty", "exists"):
        return None  # a field may be there and null
    return frozenset({("there", field, "")})


def _cost(needs: frozenset[Need]) -> tuple[float, int]:
    """How often one of them is there, about: less is better."""
    worst = 0.0
    for kind, _, text in needs:
        if kind == "there":
            worst = max(worst, 100.0)
        elif kind == "part":
            worst = max(worst, 30.0 if len(text) < PIECE else 1.0 + 8.0 / len(text))
        else:
            worst = max(worst, 2.0)
    return worst, len(needs)
