"""Settings of the connectors for the stand-ins at a URL."""

from __future__ import annotations

from typing import Any

from brain.connectors.jira import JiraSettings
from brain.connectors.pagerduty import PagerDutySettings
from brain.connectors.servicenow import ServiceNowSettings
from brain.connectors.slack import SlackSettings
from brain.connectors.webhook import WebhookSettings
from brain.demo.stand_ins import jira, servicenow, webhook
from brain.secret import Secret


def pagerduty_settings(url: str, **more: Any) -> PagerDutySettings:
    return PagerDutySettings(kind="pagerduty", routing_key=Secret("R" * 32), url=f"{url}/pagerduty", **more)


def slack_settings(url: str, team: str = "T0") -> SlackSettings:
    return SlackSettings(kind="slack", webhook_url=Secret(f"{url}/slack/services/{team}/B0/token"))


def webhook_settings(url: str, key: str = webhook.WRITTEN_KEY) -> WebhookSettings:
    return WebhookSettings(kind="webhook", url=Secret(f"{url}/webhook/hook"), key=Secret(key))


def jira_settings(url: str, **more: Any) -> JiraSettings:
    given: dict[str, Any] = {"project": jira.PROJECT, **more}
    return JiraSettings(url=f"{url}/jira", user=jira.USER, token=Secret(jira.TOKEN), **given)


def servicenow_settings(url: str, **more: Any) -> ServiceNowSettings:
    password = Secret(servicenow.PASSWORD)
    return ServiceNowSettings(url=f"{url}/servicenow", user=servicenow.USER, password=password, **more)
