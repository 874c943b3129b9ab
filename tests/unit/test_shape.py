"""The code keeps to the sizes that CONTRIBUTING.md names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from brain import EventStream, PolicyEngine
from support.trees import trees

pytestmark = pytest.mark.xdist_group("trees")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def functions() -> tuple[tuple[str, Function], ...]:
    """Every function and method of the package, with its place."""
    return tuple(
        (f"{path}:{node.lineno} {node.name}", node)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, Function)
    )


def lines(node: Function) -> int:
    """Lines of the body, without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def parameters(node: Function) -> int:
    """How many parameters it takes, `self` and `cls` left out."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return sum(one.arg not in ("self", "cls") for one in given)


def public_functions() -> Iterator[tuple[str, Function]]:
    """Functions of modules and methods of classes that somebody outside may call."""
    for path, tree in trees().items():
        yield from _public(path, tree.body)


def _public(path: str, body: list[ast.stmt]) -> Iterator[tuple[str, Function]]:
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield f"{path}:{node.lineno} {node.name}", node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public(path, node.body)


def test_almost_no_function_is_longer_than_forty_lines() -> None:
    found = functions()
    long = [place for place, node in found if lines(node) > 40]
    assert len(long) <= 0.005 * len(found), long


def test_almost_no_function_takes_more_than_six_parameters() -> None:
    found = functions()
    many = [place for place, node in found if parameters(node) > 6]
    assert len(many) <= 0.005 * len(found), many


def test_almost_every_public_function_has_a_docstring() -> None:
    public = list(public_functions())
    bare = [place for place, node in public if ast.get_docstring(node) is None]
    assert len(bare) <= 0.05 * len(public), bare


async def test_what_each_publish_and_decision_reads_has_few_attributes(tmp_path: Path) -> None:
    """CPython keeps the attributes of an object of at most 29 inside of it; with more each look-up takes longer."""
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        engine = PolicyEngine(stream)
        assert {type(part).__name__: len(vars(part)) for part in (stream, engine) if len(vars(part)) > 29} == {}
        engine.close()
