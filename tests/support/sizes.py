"""The sizes of a test whose whole size takes long: a small one for each run, and the whole one for `make test-long`."""

from __future__ import annotations

from typing import Any

import pytest


def sizes(small: Any, whole: Any) -> list[Any]:
    """For `parametrize`; a tuple gives several arguments at once."""
    values = whole if isinstance(whole, tuple) else (whole,)
    return [small, pytest.param(*values, marks=pytest.mark.long)]
