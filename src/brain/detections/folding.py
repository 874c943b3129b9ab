"""Trees for events of which one field is known beforehand: what it decides is decided once, not for every event."""

from __future__ import annotations

from collections.abc import Sequence

from brain.detections.compiler import Compiler
from brain.detections.models import Tree
from brain.detections.values import Lowered, Originals


def fold(tree: Tree, field: str, text: str) -> Tree | bool:
    """What is left of the tree where the field has this text; True or False where nothing is."""
    kind = tree[0]
    if kind == "not":
        inner = fold(tree[1], field, text)
        return not inner if isinstance(inner, bool) else ("not", inner)
    if kind in ("and", "or"):
        return _joined(kind, [fold(one, field, text) for one in tree[1]])
    if tree[1] != field or tree[2][0].startswith("same"):
        return tree
    known = Originals({field: text})
    return bool(Compiler().predicate(tree)(Lowered(known), known))


def _joined(kind: str, trees: Sequence[Tree | bool]) -> Tree | bool:
    decides = kind == "or"  # True decides an "or", False an "and"; the other one says nothing
    if decides in [one for one in trees if isinstance(one, bool)]:
        return decides
    left = [one for one in trees if not isinstance(one, bool)]
    if not left:
        return not decides
    return left[0] if len(left) == 1 else (kind, left)
