"""Fixtures of the integration tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command import Command


@pytest.fixture
def brain(tmp_path: Path) -> Command:
    """The command `brain`, run in an empty folder."""
    return Command(tmp_path)
