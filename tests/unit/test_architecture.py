"""What docs/architecture.md says of the layout holds."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "src" / "brain"
PAGE = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
QUESTIONS = re.findall(r"^\| (\d+) \| (.+?) \| `(\w+)` \| `(.+?)` \| (yes|no.*?) \|$", PAGE, re.MULTILINE)


def first_hit(word: str) -> str:
    """The file or folder of the package that has the word in its name: an exact one first, then the shallowest."""
    found = [
        path.relative_to(SOURCE)
        for path in SOURCE.rglob("*")
        if word in path.stem and "__pycache__" not in path.parts and "static" not in path.parts
    ]
    exact = {word, f"{word}s"}
    return min(found, key=lambda path: (path.stem not in exact, len(path.parts), path.as_posix())).as_posix()


def test_twenty_questions_are_asked_and_eighteen_are_answered_by_the_first_hit() -> None:
    assert [int(number) for number, *_ in QUESTIONS] == list(range(1, 21))
    assert sum(right == "yes" for *_, right in QUESTIONS) >= 18


@pytest.mark.parametrize(("number", "word", "hit"), [(number, word, hit) for number, _, word, hit, _ in QUESTIONS])
def test_the_first_hit_is_the_one_that_the_page_names(number: str, word: str, hit: str) -> None:
    assert first_hit(word) == hit, f"question {number}"


def test_the_files_that_the_page_names_are_there() -> None:
    named = re.findall(r"`([\w/]+(?:\.py|/))`", PAGE.partition("| Room of a plug-in")[0])
    assert len(named) > 10
    assert [name for name in named if not (SOURCE / name).exists()] == []


def test_the_drawing_is_what_the_imports_are() -> None:
    specification = spec_from_file_location("draw_architecture", PROJECT / "scripts" / "draw_architecture.py")
    assert specification is not None
    assert specification.loader is not None
    drawer = module_from_spec(specification)
    sys.modules[specification.name] = drawer
    specification.loader.exec_module(drawer)
    assert drawer.page() == PAGE, "run `make docs`"
