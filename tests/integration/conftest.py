"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import former_package
from support.command import Command
from support.outside import Environment, files_in, files_on_page, ticket_system, write


@pytest.fixture
def brain(tmp_path: Path) -> Command:
    """The command `brain`, run in an empty folder."""
    return Command(tmp_path)


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment with all the packages from outside: to make one takes longer than most tests that use it.

    Its files are marked with the group `outside`, so that one worker makes it.
    """
    with Environment(tmp_path_factory.mktemp("environment") / "env") as made:
        for files in (files_on_page(), files_in(ticket_system()), former_package.FILES):
            made.install(write(files, tmp_path_factory.mktemp("package")))
        yield made
