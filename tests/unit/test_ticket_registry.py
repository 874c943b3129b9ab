"""Ticket systems by kind: which are registered, and how a package that cannot be used is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brain.connectors.jira import Jira
from brain.connectors.registry import registered
from brain.connectors.servicenow import ServiceNow
from brain.connectors.tickets import GROUP, ticket_systems
from brain.errors import InvalidInput
from brain.incidents.settings import IncidentSettings
from support.installed import install

MODULE = "class Tracker:\n    pass\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are installed in, for this test alone."""
    monkeypatch.syspath_prepend(tmp_path)
    for found in (registered, ticket_systems):
        found.cache_clear()
    yield tmp_path
    for found in (registered, ticket_systems):
        found.cache_clear()


def test_ours_are_registered_as_those_of_other_packages_are() -> None:
    assert dict(ticket_systems()) == {"jira": Jira, "servicenow": ServiceNow}
    for kind, system in ticket_systems().items():
        assert kind in IncidentSettings.model_fields
        assert system.webhook_example


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [
        ("jira", "tracker_of_a_test:Tracker", "two packages register the kind 'jira'; remove one of them"),
        ("Tracker", "tracker_of_a_test:Tracker", "the kind 'Tracker' (tracker_of_a_test:Tracker) must be lower-case"),
        ("t" * 21, "tracker_of_a_test:Tracker", "must be lower-case letters, digits and _, at most 20"),
        ("tracker", "tracker_of_a_test:Trackr", "tracker_of_a_test:Trackr of the kind 'tracker' cannot be loaded"),
        ("tracker", "no_such_module:Tracker", "no_such_module:Tracker of the kind 'tracker' cannot be loaded"),
        ("tracker", "tracker_of_a_test:__name__", "of the kind 'tracker' must be a class"),
        ("tracker", "tracker_of_a_test:Tracker", "of the kind 'tracker' needs a class attribute settings_model"),
    ],
)
def test_a_package_that_cannot_be_used_is_named(packages: Path, kind: str, value: str, fault: str) -> None:
    points = f'[project.entry-points."{GROUP}"]\n{kind} = "{value}"\n'
    pyproject = f'[project]\nname = "tracker-of-a-test"\nversion = "1.0"\n{points}'
    install(packages, pyproject, {"tracker_of_a_test.py": MODULE})
    with pytest.raises(InvalidInput) as refused:
        ticket_systems()
    assert fault in str(refused.value)
