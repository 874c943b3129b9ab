"""The detections of the package: each has cases, all of them pass, and the compiled file is that of the rules."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from brain.detections.cases import Case, cases_beside, run_case
from brain.detections.loading import Loaded, find_files, link, load, shipped, shipped_folder

SCRIPT = Path(__file__).parents[2] / "scripts" / "compile_detections.py"
FILES = find_files([shipped_folder()])


@pytest.fixture(scope="module")
def everything() -> Loaded:
    return load([], with_shipped=True)


def test_the_compiled_file_is_that_of_the_rules() -> None:
    made = runpy.run_path(str(SCRIPT))["compiled"]()
    assert (shipped_folder() / "compiled.json").read_bytes() == made, "run `make docs`"


def test_thirty_and_more_with_tags_and_ids_of_their_own(everything: Loaded) -> None:
    assert everything.problems == []
    reporting = [one.about for one in everything.detections if one.about.reports]
    assert len(reporting) >= 30
    assert {
        one.name
        for one in reporting
        if not any(re.match(r"attack\.t\d{4}|attack\.[a-z]|owasp\.asi\d\d", tag) for tag in one.tags)
    } == set()
    assert len({one.key for one in reporting} | {one.name for one in reporting}) == 2 * len(reporting)
    assert {one.path for one in reporting} == {path.name for path in FILES}


def cases() -> list[Case]:
    return [case for path in FILES for case in cases_beside(path)]


def test_each_detection_has_a_case_that_it_hits(everything: Loaded) -> None:
    tested = {name for case in cases() if case.is_hit for name in case.detections}
    assert {one.about.name for one in everything.detections if one.about.reports} == tested
    assert all(any(not case.is_hit for case in cases_beside(path)) for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_cases_pass(path: Path) -> None:
    mine = link([one for one in shipped() if one.about.path == path.name], [])
    results = [run_case(case, mine) for case in cases_beside(path)]
    assert len(results) >= 3
    assert [f"{one.case.name}: {one.text}" for one in results if not one.passed] == []
