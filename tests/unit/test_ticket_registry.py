"""Ticket systems by kind: which are registered, and how a package that cannot be used is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brain.connectors import tickets
from brain.connectors.jira import Jira
from brain.connectors.notifiers import Notifier
from brain.connectors.registry import Registry
from brain.connectors.servicenow import ServiceNow
from brain.connectors.tickets import TicketSystem, ticket_systems
from brain.errors import InvalidInput
from brain.incidents import settings
from brain.incidents.settings import IncidentSettings
from support.installed import install

MODULE = (
    "from brain.connectors.tickets import TicketSystem\n\n"
    "class Tracker:\n    pass\n\n"
    "class Unset(TicketSystem):\n    pass\n\n"
    "class Wrong(TicketSystem):\n    settings_model = dict\n"
)


def test_ours_are_registered_as_those_of_other_packages_are() -> None:
    assert dict(ticket_systems()) == {"jira": Jira, "servicenow": ServiceNow}
    for kind, system in ticket_systems().items():
        assert kind in IncidentSettings.model_fields
        assert system.webhook_example


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [
        ("jira", "tracker_of_a_test:Tracker", "remove one of the packages"),
        (
            "Tracker",
            "brain.connectors.jira:Jira",
            "kind 'Tracker': must be lower-case letters, digits and _, at most 20",
        ),
        ("t" * 21, "brain.connectors.jira:Jira", "must be lower-case letters, digits and _, at most 20"),
        ("tracker", "tracker_of_a_test:Trackr", "tracker_of_a_test:Trackr cannot be loaded"),
        ("tracker", "no_such_module:Tracker", "no_such_module:Tracker cannot be loaded"),
        ("tracker", "tracker_of_a_test:Tracker", "is not a subclass of brain.connectors.tickets.TicketSystem"),
        ("tracker", "tracker_of_a_test:Unset", "tracker_of_a_test.Unset needs settings_model, a subclass of"),
        ("tracker", "tracker_of_a_test:Wrong", "tracker_of_a_test.Wrong needs settings_model, a subclass of"),
    ],
)
def test_a_package_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, value: str, fault: str
) -> None:
    points = f'[project.entry-points."brain.ticket_systems"]\n{kind} = "{value}"\n'
    pyproject = f'[project]\nname = "tracker-of-a-test"\nversion = "1.0"\n{points}'
    install(tmp_path, pyproject, {"tracker_of_a_test.py": MODULE})
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[TicketSystem[Any]] = Registry("brain.ticket_systems", TicketSystem, "ticket system")
    monkeypatch.setattr(tickets, "TICKET_SYSTEMS", registry)  # the installed ones are remembered in a process
    with pytest.raises(InvalidInput) as refused:
        ticket_systems.__wrapped__()
    assert fault in str(refused.value)


@pytest.mark.parametrize("kind", ["threats", "stream", "poll_seconds", "systems"])
def test_a_kind_with_the_name_of_something_else_is_refused(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(settings, "ticket_systems", lambda: {kind: Jira})
    with pytest.raises(InvalidInput, match=f"ticket system '{kind}': this name is reserved"):
        settings._incident_settings()


def test_a_kind_that_two_packages_have_taken_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = '[project.entry-points."brain.notifiers"]\nslack = "brain.connectors.email:Email"\n'
    install(tmp_path, f'[project]\nname = "pager-of-a-test"\nversion = "1.0"\n{points}', {})
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[Notifier[Any]] = Registry("brain.notifiers", Notifier, "notifier")
    assert registry.find("webhook").__name__ == "Webhook"
    with pytest.raises(
        InvalidInput, match=r"notifier kind 'slack': both brain\.connectors\.email:Email and .*; remove"
    ):
        registry.find("slack")
