"""docs/api.md lists what is public, and nothing else is."""

from __future__ import annotations

import re
import runpy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()
SCRIPT: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "list_api.py"))
LISTED = {
    module: dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.M))
    for module, table in re.findall(r"^### `([\w.]+)`\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S)
}
"""By module: the names that the page lists, and their meanings."""
STABLE = {
    "brain": "Event EventStream PolicyEngine Rule Condition ThreatService ImmuneService HealthEvent",
    "brain.threats": "set_event_stream create_threat get_threat list_threats update_threat_status get_stats",
    "brain.testing": "RecordingStream make_event",
    "brain.policy": "Guard",
    "brain.policy.guards_http": "requires",
    "brain.policy.guards_mcp": "guard_server GuardedClient",
}
"""What docs and examples of every release rely on."""


def test_the_page_is_up_to_date() -> None:
    assert SCRIPT["page"]() == PAGE, "run `make docs`"


@pytest.mark.parametrize("module", LISTED)
def test_what_is_listed_is_importable_has_a_meaning_and_is_all(module: str) -> None:
    found = import_module(module)
    assert set(LISTED[module]) == set(found.__all__)
    for name, meaning in LISTED[module].items():
        assert getattr(found, name) is not None
        assert len(meaning) >= 8, f"{module}.{name} has no docstring"


@pytest.mark.parametrize("module", STABLE)
def test_what_every_release_has_is_listed(module: str) -> None:
    assert set(STABLE[module].split()) <= set(LISTED[module])


def test_names_of_a_lazy_package_are_its_own_once_asked_for() -> None:
    """`from brain import X` and `brain.X` give the same object, also after the first time."""
    brain = import_module("brain")
    assert brain.PolicyEngine is import_module("brain.policy").PolicyEngine
    assert "PolicyEngine" in vars(brain)
    with pytest.raises(AttributeError, match="module 'brain' has no attribute 'Nothing'"):
        _ = brain.Nothing
