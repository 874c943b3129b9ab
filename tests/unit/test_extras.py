"""The extras: the table in brain.extras is that of pyproject.toml, and what is missing is said with its pip line."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import brain
from brain import InvalidInput
from brain.errors import MissingExtra
from brain.extras import EXTRAS, missing_extra, needs, pip_line, require_extras

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
NAME = re.compile(r"[\w-]+")


def distributions(requirements: list[str]) -> set[str]:
    """The names of what is required, without versions and extras."""
    return {found[0].lower() for text in requirements if (found := NAME.match(text))}


def test_the_version_is_that_of_the_metadata() -> None:
    assert brain.__version__ == PROJECT["version"]


def test_the_core_needs_three_packages() -> None:
    assert distributions(PROJECT["dependencies"]) == {"msgspec", "google-re2"}


def test_each_extra_that_is_named_brings_what_is_missing() -> None:
    declared = {extra: distributions(given) for extra, given in PROJECT["optional-dependencies"].items()}
    assert {*EXTRAS, "all"} == set(declared)
    homes = packages_distributions()
    for extra, packages in EXTRAS.items():
        for package in packages:
            brought = {name.lower().replace("_", "-") for name in homes.get(package, ())}
            of_others = {"pydantic-core"}  # comes with pydantic
            assert brought & {*declared[extra], *of_others}, f"{package} is not brought by {extra}"
    known = {name.lower().replace("_", "-") for packages in EXTRAS.values() for p in packages for name in homes[p]}
    for extra, given in declared.items():
        assert given <= known | {"brain-eventstream"}, f"{extra} brings what brain.extras does not know"


def test_all_brings_the_whole_server() -> None:
    assert PROJECT["optional-dependencies"]["all"] == ["brain-eventstream[server,cli,connectors,redis,yaml,fast]"]


def test_a_missing_package_is_said_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra) as raised, needs("a stream on Redis"):
        import_module("redis")
    assert str(raised.value) == (
        "a stream on Redis needs redis, which is not installed; run: pip install 'brain-eventstream[redis]'"
    )
    assert isinstance(raised.value, InvalidInput)
    assert isinstance(raised.value, ModuleNotFoundError)
    with pytest.raises(MissingExtra, match=re.escape(pip_line("cli", "redis"))):
        require_extras("all this", "cli", "redis")
    require_extras("this", "cli")


def test_another_missing_module_is_left_as_it_is() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'no_such_module'$"), needs("this"):
        import_module("no_such_module")
    assert missing_extra(ValueError("x"), "this") is None


def test_a_package_that_is_there_and_broken_is_said_too() -> None:
    said = r"parquet: an import failed: bad ELF; run: pip install .*\[parquet\]"
    with pytest.raises(MissingExtra, match=said), needs("parquet", "parquet"):
        raise ImportError("bad ELF")
