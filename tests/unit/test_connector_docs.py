"""docs/connectors.md names every setting of every connector, with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from brain.connectors.apprise import AppriseSettings
from brain.connectors.email import EmailSettings
from brain.connectors.jira import JiraSettings
from brain.connectors.notifiers import NotifierSettings
from brain.connectors.pagerduty import PagerDutySettings
from brain.connectors.servicenow import ServiceNowSettings
from brain.connectors.slack import SlackSettings
from brain.connectors.webhook import WebhookSettings

PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text()
MODELS: dict[str, type[BaseModel]] = {
    "PagerDuty": PagerDutySettings,
    "Slack": SlackSettings,
    "Webhook": WebhookSettings,
    "E-mail": EmailSettings,
    "Apprise": AppriseSettings,
    "Jira": JiraSettings,
    "ServiceNow": ServiceNowSettings,
}


@pytest.mark.parametrize("name", MODELS)
def test_every_setting_is_described(name: str) -> None:
    section = PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (`.*?`) \| (.*?) \|", section, re.M))
    described = {setting: default for names, default in rows.items() for setting in re.findall(r"`(\w+)`", names)}
    shared = NotifierSettings.model_fields if issubclass(MODELS[name], NotifierSettings) else {}
    fields = {name: field for name, field in MODELS[name].model_fields.items() if name not in shared}
    assert described.keys() == fields.keys()
    for setting, field in fields.items():
        if field.is_required():
            assert described[setting].startswith("required"), setting
        elif isinstance(field.default, str | int | float) and field.default != "":
            assert described[setting] == f"`{field.default}`", setting


@pytest.mark.parametrize(
    "url", ["", "events.pagerduty.com", "ftp://x", "https://", "https://u:p@x", "https://x?a", "http://[x"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValidationError, match="must be a URL such as"):
        PagerDutySettings.model_validate({"kind": "pagerduty", "routing_key": "R" * 32, "url": url})


def test_a_slash_at_the_end_is_not_part_of_an_address() -> None:
    assert (
        PagerDutySettings.model_validate({"kind": "pagerduty", "routing_key": "R" * 32, "url": "https://x/"}).url
        == "https://x"
    )
