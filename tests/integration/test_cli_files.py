"""Commands that are given a file: whatever is in it, and whatever it is, they end with words and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from brain.cli import main, root
from support.sizes import sizes

CONTENTS = {
    "latin-1": b"name: Stra\xdfe\n",
    "json": b'{"type": "a.b\xff"}',
    "utf-16": b"\xff\xfea\0:\0",
    "deep": b"[" * 5_000,
    "deep-objects": b'{"a":' * 5_000,
    "date": b"a: 2024-13-45\n",
    "number": b'{"a": ' + b"1" * 5_000 + b"}",
    "surrogate": b'{"a": "\\ud800"}',
    "nul": b"\0\0\0",
    "empty": b"",
    "list": b"[1, 2]",
    "circle": b"a: &a [*a]\n",
    "key": b"? [a]\n: b\n",
}
ENDINGS = (".yaml", ".json")
RUNS_ON = ("serve", "demo", "worker")
"""Commands that run until they are stopped."""
FEW = ["playbooks test FILE", "policy export --output FILE"]


def takes_file(parameter: Any) -> bool:
    """Whether its value may be the name of a file."""
    return "Path" in str(parameter.type_descriptor) or parameter.name in ("public_key", "source", "sources", "key")


def every_command() -> Iterator[str]:
    """Each that takes a file, once for each of its parameters that does; FILE stands for the file."""

    def walk(command: Any, names: list[str]) -> Iterator[tuple[Any, list[str]]]:
        if not hasattr(command, "commands"):
            yield command, names
            return
        for name, member in [*command.commands.items()]:
            if name not in RUNS_ON:
                yield from walk(top.load(name) if command is top else member, [*names, name])

    top: Any = get_command(root())
    for command, names in walk(top, []):
        for chosen in filter(takes_file, command.params):
            words = [*names]
            for one in command.params:
                if one is chosen or one.required:
                    number = "int" in str(one.type_descriptor).partition(",")[0]
                    value = "FILE" if takes_file(one) else "1" if number else "x"
                    words += [value] if "Argument" in type(one).__name__ else [one.opts[0], value]
            yield " ".join(words)


def ended(command: str, file: str) -> int:
    """How it ended; another exception than SystemExit fails the test."""
    with pytest.raises(SystemExit) as over:
        main([file if word == "FILE" else word for word in command.split()])
    return int(over.value.code or 0)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("commands", sizes(FEW, None))
def test_no_file_ends_a_command_in_a_traceback(
    commands: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    contents = CONTENTS if commands is None else {name: CONTENTS[name] for name in ("json", "deep")}
    codes = []
    for command in commands or every_command():
        for name, content in contents.items():
            for ending in ENDINGS if commands is None else (".json",):
                file = tmp_path / f"{name}{ending}"
                file.write_bytes(content)
                codes.append(ended(command, str(file)))
        folder = tmp_path / "folder"
        folder.mkdir(exist_ok=True)
        for odd in (folder, folder / "none" / "x.yaml", tmp_path / "json.json" / "x.yaml", folder / ("n" * 300)):
            codes.append(ended(command, str(odd)))
    assert {*codes} <= {0, 1, 2}
    assert codes.count(2) > len(codes) / 2


def test_settings_that_are_no_text_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for content, fault in [
        (b'stream = "\xe4"', "brain.toml: is not UTF-8 text: "),
        (b"port = " + b"[" * 100_000, "brain.toml: not a valid TOML file: maximum recursion depth"),
        (b"port = " + b"1" * 5_000, "brain.toml: not a valid TOML file: Exceeds the limit"),
    ]:
        Path("brain.toml").write_bytes(content)
        assert ended("threats list", "") == 2
        assert f"error: {fault}" in capsys.readouterr().err


def test_a_context_from_standard_input_that_is_no_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b'{"agent_id": "\xe4"}'), "utf-8"))
    assert ended("policy eval -", "") == 2
    assert "error: CONTEXT: not valid JSON: agent_id: is not UTF-8" in capsys.readouterr().err
