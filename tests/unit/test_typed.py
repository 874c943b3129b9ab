"""Types are made ready for msgspec by one thread, and no type is read that was not."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import brain
from brain.typed import ready

SOURCE = Path(brain.__file__).parent
BESIDE = """
import sys, threading
from typing import Annotated
import msgspec
from brain.typed import ready

sys.setswitchinterval(0.00001)
for number in range(100):
    Inner = msgspec.defstruct("Inner", [("a", Annotated[int, msgspec.Meta(ge=0)]), ("b", str | None, None)])
    named = ("named", dict[str, Inner] | None, None)
    Outer = msgspec.defstruct("Outer", [("one", Inner), ("many", list[Inner]), named])
    start, found = threading.Barrier(4), []

    def read(number: int) -> None:
        start.wait()
        if number % 2:
            found.append(msgspec.convert({"one": {"a": 1}, "many": [{"a": 2}]}, ready(Outer)))
        else:
            found.append(msgspec.json.decode(b'{"one": {"a": 1}, "many": [{"a": 2}]}', type=ready(Outer)))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Outer(Inner(1), [Inner(2)])] * 4, found
"""


def test_threads_that_use_a_type_for_the_first_time_all_read_it() -> None:
    """In a process of its own, which would end by a signal."""
    ended = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_msgspec_cannot_read_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(TypeError):
            ready(list[int] | set[int])


def types_read(tree: ast.AST) -> Iterator[ast.expr]:
    """What msgspec is asked to decode to or to convert to, in a file."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        of, name = ast.unparse(call.func.value), call.func.attr
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        place = {"convert": 1, "Decoder": 0, "decode": 1}.get(name)
        if of not in ("msgspec", "msgspec.json", "msgspec.msgpack") or place is None:
            continue
        if "type" in given:
            yield given["type"]
        elif len(call.args) > place:
            yield call.args[place]


def test_no_type_is_read_that_is_not_ready() -> None:
    found = {
        f"{path.relative_to(SOURCE)}:{one.lineno}": ast.unparse(one)
        for path in SOURCE.rglob("*.py")
        if path != SOURCE / "typed.py"
        for one in types_read(ast.parse(path.read_text("utf-8")))
    }
    assert len(found) > 60
    assert {place: one for place, one in found.items() if not one.startswith("ready(")} == {}
