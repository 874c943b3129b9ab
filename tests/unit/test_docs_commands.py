"""Every command `brain ...` that the documents name is one that there is."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from brain.cli import LazyGroup, root

pytestmark = pytest.mark.xdist_group("commands")  # each worker would load all of them

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"(?:^|[|;&(]) *(?:\$ )?(?:[A-Z_]+=\S+ )*brain((?: +[a-z][a-z0-9-]*)+)(?![\w./:@-])")


def code_in(text: str) -> list[str]:
    """The code spans and the lines of code blocks, indented ones included."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.M | re.S)
    indented = re.findall(r"^ {4}(?:\$ )?(.*)$", rest, re.M)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    return [line for block in blocks for line in block.splitlines()] + indented + spans


def named_in(text: str) -> list[str]:
    """The words after `brain` wherever code names a command, up to the first that cannot be one."""
    return [found.strip() for line in code_in(text) for found in COMMAND.findall(line.partition("#")[0])]


@cache
def commands() -> object:
    return typer.main.get_command(root())


def fault(words: str) -> str | None:
    """The first word that names no command, where one is due."""
    group: Any = commands()
    for word in words.split():
        if not hasattr(group, "commands"):
            return None  # an argument of the command
        if word not in group.commands:
            return word
        group = group.load(word) if isinstance(group, LazyGroup) else group.commands[word]
    return None


def test_the_test_finds_what_is_not_there() -> None:
    text = "Run `brain trace` and\n\n    $ brain policy nothing\n\n```sh\nbrain audit verify  # brain x\n```\n"
    assert [fault(words) for words in named_in(text)] == [None, "nothing", "trace"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_each_command_that_a_document_names_exists(document: Path) -> None:
    wrong = [f"brain {words}" for words in dict.fromkeys(named_in(document.read_text())) if fault(words)]
    assert wrong == []


def test_the_documents_name_many_commands() -> None:
    named = {words for document in DOCUMENTS for words in named_in(document.read_text())}
    assert len(named) > 40
