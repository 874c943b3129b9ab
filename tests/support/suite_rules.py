"""What every test file must keep to, read off its syntax tree: tests that can fail, no sleep as synchronisation."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

CHECKS = {"raises", "warns", "fail", "expect", "run_state_machine_as_test", "assert_outcomes"}
"""Calls of libraries that fail a test."""
SLEEPS = {"sleep", "wait_for_timeout"}
"""Calls that wait for a time, whatever happens meanwhile: those of Python, anyio, trio and Playwright."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Place:
    """A function and the line in question; `str` of it is what a reader can open."""

    file: str
    function: str
    line: int

    @property
    def key(self) -> str:
        """What an allow-list names: it survives a change of lines."""
        return f"{self.file}::{self.function}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function}"


def without_assertion(sources: Mapping[str, str]) -> list[Place]:
    """The tests in `sources` (text by file name) that neither check anything nor call one of ours that does."""
    functions = [(file, one, _calls(one)) for file, text in sources.items() for one in _functions(text)]
    checking = {"assert", *CHECKS}
    while more := {one.name for _, one, calls in functions if one.name not in checking and calls & checking}:
        checking |= more
    return [
        Place(file, one.name, one.lineno)
        for file, one, _ in functions
        if one.name.startswith("test_") and one.name not in checking
    ]


def sleeps(file: str, text: str) -> list[Place]:
    """Where functions of the file sleep. `sleep(0)` only lets others run, and does not count."""
    return [
        Place(file, one.name, call.lineno)
        for one in _functions(text)
        for call in _own(one)
        if isinstance(call, ast.Call) and _name(call.func) in SLEEPS and not _is_zero(call)
    ]


def spins(file: str, text: str) -> list[Place]:
    """Where functions of the file look without a pause: it holds up what they wait for, and has no deadline."""
    return [
        Place(file, one.name, loop.lineno)
        for one in _functions(text)
        for loop in _own(one)
        if isinstance(loop, ast.While) and all(isinstance(step, ast.Pass | ast.Continue) for step in loop.body)
    ]


@cache
def _functions(text: str) -> tuple[Function, ...]:
    return tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, Function))


def _own(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function without those of the functions in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        if not isinstance(node := waiting.pop(), Function):
            yield node
            waiting += ast.iter_child_nodes(node)


def _calls(function: Function) -> set[str]:
    """The names of what the function calls; an `assert` counts as a call of that name."""
    return {
        "assert" if isinstance(node, ast.Assert) else _name(node.func)
        for node in ast.walk(function)
        if isinstance(node, ast.Assert | ast.Call)
    }


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _is_zero(call: ast.Call) -> bool:
    return isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
