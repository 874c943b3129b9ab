"""Real recordings that are fetched and not committed: the run of a TurtleBot with Nav2, from the source of evo."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from brain.telemetry.recording import Recorded, read_recording

ROOT = Path(__file__).parents[2]


@cache
def test_data() -> Any:
    """The module scripts/fetch_test_data.py."""
    specification = spec_from_file_location("fetch_test_data", ROOT / "scripts" / "fetch_test_data.py")
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def data_file(name: str, file: str) -> Path:
    """A file of fetched data; skips the test where the registry cannot be reached."""
    data = test_data()
    try:
        found: Path = data.find(data.fetched(name), file)
    except data.Unreachable as error:
        pytest.skip(str(error))
    return found


def nav2_run() -> list[Recorded]:
    """Its 8,197 messages, as samples."""
    return list(read_recording(data_file("evo", "nav2_turtlebot.mcap")))


def recounted(samples: Iterable[Recorded]) -> Mapping[tuple[str, int], tuple[float, float, float, int]]:
    """Least, greatest, mean and number of each value in each 10 s, counted by other code than that of the product."""
    groups: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for sample in samples:
        for name, value in sample.values.items():
            groups[name, int(sample.at / 10) * 10].append(value)
    found = {}
    for key, values in groups.items():
        total = 0.0
        for value in values:  # in their order, as sum() of Python 3.12 is more exact than adding
            total += value
        found[key] = (min(values), max(values), total / len(values), len(values))
    return found
