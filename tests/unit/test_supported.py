"""The Pythons and systems: what the metadata says is what docs/install.md says, and what `make` runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "install.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def known(what: str) -> str:
    """How something of the table is known; "" when it is not in it."""
    rows = re.findall(r"^\| ([^|]+?) \| (.+?) \|$", PAGE, re.M)
    return next((how for name, how in rows if what in re.split(r", | ", name)), "")


def test_the_pythons_of_the_classifiers_are_those_that_run_the_tests() -> None:
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert all(re.search("the whole test suite|the unit tests", known(version)) for version in named)
    (run,) = re.findall(r"^PYTHONS \?= (.*)$", MAKEFILE, re.M)
    assert {*named[1:]} <= {*run.split()}


def test_the_systems_of_the_classifiers_are_in_the_table() -> None:
    systems = {text.split(" :: ")[-1] for text in PROJECT["classifiers"] if text.startswith("Operating System")}
    assert systems == {"Linux", "MacOS", "Windows"}
    assert known("Linux") == "the whole test suite"
    assert known("macOS") == known("Windows")
    assert known("macOS").startswith("emulated")


def test_upper_bounds_are_those_of_the_page() -> None:
    bounded = [text for given in PROJECT["optional-dependencies"].values() for text in given if "<" in text]
    said = re.findall(r"`(\w+)` below (\d+)", PAGE)
    assert sorted(bounded) == sorted(
        text for text in bounded for name, top in said if re.match(rf"{name}\b.*<{top}$", text)
    )
    assert len(bounded) == len(said)
