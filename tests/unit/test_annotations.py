"""Every public variable and attribute says its type, so that no type checker of a user has to guess it.

A quick look at the source by the rules of `pyright --verifytypes`, which tests/integration/test_types.py runs.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

import pytest

from support.trees import trees

pytestmark = pytest.mark.xdist_group("trees")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Assigned = tuple[str, ast.expr | None]
"""A name, and the value that it gets; None for `+=` and for a part of a tuple."""


def unannotated(tree: ast.Module) -> Iterator[str]:
    """The public names of a module whose types a type checker has to infer, each with its line."""
    yield from _of_scope(tree.body, "")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _is_public(node.name):
            if not any("Enum" in ast.unparse(base) for base in node.bases):
                yield from _of_scope(node.body, f"{node.name}.")
            yield from _of_instances(node)


def _of_scope(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    """Those of a module or a class, as far as they are assigned to in it."""
    known = {ast.unparse(node.target) for node in body if isinstance(node, ast.AnnAssign)}
    for node in body:
        for name, value in _assigned(node):
            if _is_public(name) and not name.isupper() and name not in known and not _tells_its_type(value, prefix):
                yield f"{node.lineno} {prefix}{name}"


def _of_instances(cls: ast.ClassDef) -> Iterator[str]:
    """Those that methods give to `self`."""
    known = {
        ast.unparse(node.target).removeprefix("self.") for node in ast.walk(cls) if isinstance(node, ast.AnnAssign)
    }
    slotted = any(name == "__slots__" for node in cls.body for name, _ in _assigned(node))
    methods = [node for node in cls.body if isinstance(node, Function)]
    places = Counter(name for method in methods for node in ast.walk(method) for name, _ in _assigned(node))
    for method in methods:
        given = {one.arg for one in (*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs)}
        for node in ast.walk(method):
            for name, value in _assigned(node):
                attribute = name.removeprefix("self.")
                if not name.startswith("self.") or not _is_public(attribute) or attribute in known:
                    continue
                once = isinstance(value, ast.Constant) and places[name] == 1
                if not once and not (isinstance(value, ast.Name) and value.id in given and not slotted):
                    yield f"{node.lineno} {cls.name}.{attribute}"


def _assigned(node: ast.AST) -> Iterator[Assigned]:
    match node:
        case ast.AugAssign(target=ast.Name() | ast.Attribute() as target):
            yield ast.unparse(target), None
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                for part in parts:
                    if isinstance(part, ast.Name | ast.Attribute):
                        yield ast.unparse(part), value if part is target else None


def _tells_its_type(value: ast.expr | None, prefix: str) -> bool:
    """Whether nobody can infer another type: of a literal, and in a module of an alias and a type variable."""
    match value:
        case ast.Constant():
            return True
        case ast.Name() | ast.Attribute() | ast.Subscript() | ast.BinOp(op=ast.BitOr()):
            return not prefix
        case ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec")):
            return True
    return False


def _is_public(name: str) -> bool:
    return not name.startswith("_")


def test_every_public_name_says_its_type() -> None:
    missing = [f"{path}:{name}" for path, tree in trees().items() for name in unannotated(tree)]
    assert missing == [], "write `name: Type = ...`, or make the name private"


def test_the_look_finds_what_has_no_type() -> None:
    text = """
log = Log("x")
PLAIN = 3
app: Typer = Typer()
Alias = dict[str, int]
class A:
    model_config = ConfigDict()
    title = "a"
    def __init__(self, given: int) -> None:
        self.given = given
        self.count = 0
        self.lock: Lock = Lock()
        self.made = Made(given)
        self._own = Made(given)
        self.set = 0
    def more(self) -> None:
        self.count += 1
        self.set = 1
class _B:
    made = Made()
"""
    names = [name.split()[1] for name in unannotated(ast.parse(text))]
    assert names == ["log", "A.model_config", "A.count", "A.made", "A.set", "A.count", "A.set"]
