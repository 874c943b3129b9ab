"""Strict type checkers on what users write: the examples of README.md and docs, and a program over the public names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from support.examples import examples, framework_examples, host_examples
from support.framework_environments import FRAMEWORKS
from support.type_checkers import mypy, pyright, user_environment, verify_types, write

PROGRAM = Path(__file__).with_name("test_typed_program.py")
UNTYPED = {"google_adk": ("google.adk",), "smolagents": ("smolagents",)}
"""Packages of a framework that bring no types, by the framework."""
HOSTS = ("arq", "celery", "django", "dramatiq", "flask", "rq")
"""What programs for hosts import; it is not there when types are checked, and some of it has none."""
THEIR_GAPS = ("MissingTypeStubs", "UnknownArgumentType", "UnknownMemberType", "UnknownVariableType")
"""pyright's rules on types that a framework leaves out: no user of it can keep to them."""
LARGE = (
    *("anyio", "cryptography", "fastapi", "httpx", "hypothesis", "markdown_it", "opentelemetry", "prometheus_client"),
    *("psycopg", "pydantic", "pydantic_settings", "redis", "rich", "sqlalchemy", "starlette", "typer"),
)
"""What takes mypy most of its time, and what neither the README nor the program asks for the types of."""


@pytest.fixture
def cache(pytestconfig: pytest.Config, tmp_path: Path) -> Path:
    """mypy's own, kept between runs: the second one takes a second or two. `make test-lowest` keeps nothing."""
    kept = getattr(pytestconfig, "cache", None)
    return kept.mkdir("mypy-strict") if kept is not None else tmp_path / "mypy-strict"


def programs() -> Mapping[str, str]:
    """Everything to be checked but the examples for frameworks."""
    return {**examples(), PROGRAM.name: PROGRAM.read_text()}


def test_mypy_on_the_readme_and_a_program(tmp_path: Path, cache: Path) -> None:
    chosen = {name: text for name, text in programs().items() if name.startswith("readme") or name == PROGRAM.name}
    assert len(chosen) == 3
    assert mypy(write(chosen, tmp_path / "examples"), cache, unread=LARGE) == ""


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_mypy_on_every_example(tmp_path: Path) -> None:
    assert len(examples()) > 30
    assert mypy(write(programs(), tmp_path / "examples"), tmp_path / "cache") == ""


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_pyright_on_every_example_and_on_the_package(tmp_path: Path) -> None:
    installed = user_environment()
    assert pyright(write(programs(), tmp_path / "examples"), installed) == ""
    for package in ("brain", "brain_eventstream_pytest"):
        assert "Type completeness score: 100%" in verify_types(package, installed)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_the_examples_for_hosts(tmp_path: Path) -> None:
    folder = write(host_examples(), tmp_path / "hosts")
    assert mypy(folder, tmp_path / "cache", unread=HOSTS) == ""
    gaps = (*THEIR_GAPS, "MissingImports", "UnknownParameterType", "UntypedFunctionDecorator")
    gaps = (*gaps, "PossiblyUnboundVariable")  # the notebook's cell asks for the names that are there already
    assert pyright(folder, user_environment(), but=[f"report{rule}" for rule in gaps]) == ""


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_example_for_a_framework(framework: str, tmp_path: Path) -> None:
    folder = write({"example.py": framework_examples()[framework]}, tmp_path / "example")
    installed = user_environment(f"typed_{framework}", FRAMEWORKS[framework])
    python, unread = str(installed / "bin" / "python"), UNTYPED.get(framework, ())
    assert mypy(folder, tmp_path / "cache", python=python, unread=unread) == ""
    assert pyright(folder, installed, but=[f"report{rule}" for rule in THEIR_GAPS]) == ""
