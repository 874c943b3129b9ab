"""The outside services of the demo: stand-ins, and the settings that send everything there and nowhere else.

What the user has configured for real is put aside while the demo runs: a made-up attack must not wake anybody.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from brain.alerting.settings import AlertingSettings, EscalationSettings, RouteSettings
from brain.audit.settings import AuditSettings
from brain.charter import Severity
from brain.connectors.jira import JiraSettings
from brain.connectors.pagerduty import PagerDutySettings
from brain.connectors.servicenow import ServiceNowSettings
from brain.connectors.slack import SlackSettings
from brain.connectors.webhook import WebhookSettings
from brain.demo.stand_ins import StandIns, jira, servicenow, webhook
from brain.incidents.settings import IncidentSettings
from brain.metrics.settings import MetricsSettings
from brain.playbooks.settings import PlaybookSettings
from brain.secret import Secret
from brain.settings import Settings, load_settings


def settings_in(folder: Path, *, stream: str | None, port: int | None) -> Settings:
    """The settings of a demo that keeps everything in this folder, but for a `stream` that was asked for.

    Of the user's settings it takes those of the server alone: a demo must neither write to the real stream, log or
    database, nor send figures to a real collector.
    """
    url = stream or f"sqlite:///{folder}/brain.db"
    database = f"sqlite:///{folder}/brain-consumers.db"
    settings = load_settings(stream=url, store=url, database=database, port=port)
    defaults = Settings.model_fields
    own: dict[str, object] = {
        "audit": AuditSettings(),
        "metrics": MetricsSettings(),
        "playbooks": PlaybookSettings(files=("brain.demo.restarting:PLAYBOOKS",), per_hour=10_000, per_correlation=20),
        "consumers": defaults["consumers"].get_default(call_default_factory=True),
        "retention_days": defaults["retention_days"].default,
        "retention_bytes": None,
        "retention_count": None,
    }
    return settings.model_copy(update=own)


def with_stand_ins(settings: Settings, url: str) -> Settings:
    """These settings, with the stand-ins at `url` as the only outside services, and waits short enough to watch."""
    notifiers = {
        "pagerduty-stand-in": PagerDutySettings(
            kind="pagerduty", routing_key=Secret("0" * 32), url=f"{url}/pagerduty", at_most=1000
        ),
        "slack-stand-in": SlackSettings(
            kind="slack", webhook_url=Secret(f"{url}/slack/services/T00000000/B00000000/standin"), at_most=1000
        ),
        "webhook-stand-in": WebhookSettings(
            kind="webhook", url=Secret(f"{url}/webhook/hook"), key=Secret(webhook.WRITTEN_KEY), at_most=1000
        ),
    }
    routes = (
        RouteSettings(
            name="on call",
            severities=(Severity.HIGH, Severity.CRITICAL),
            to=("pagerduty-stand-in", "webhook-stand-in"),
            group_wait=0.3,
            group_interval=1.0,
            escalate=(EscalationSettings(after=5.0, to=("slack-stand-in",)),),
        ),
        RouteSettings(name="the rest", severities=(Severity.LOW, Severity.MEDIUM), to=(), group_wait=1.0),
    )
    alerting = AlertingSettings(
        public_url=f"http://{settings.host}:{settings.port}",
        notifiers=notifiers,
        routes=routes,
        warm_up=0.5,
        healing_timeout=3.0,
    )
    tickets = {
        "jira": JiraSettings(
            url=f"{url}/jira", user=jira.USER, token=Secret(jira.TOKEN), project=jira.PROJECT, settle_seconds=0.5
        ),
        "servicenow": ServiceNowSettings(
            url=f"{url}/servicenow",
            user=servicenow.USER,
            password=Secret(servicenow.PASSWORD),
            settle_seconds=0.5,
        ),
    }
    incidents = IncidentSettings.model_validate({"comment_seconds": 2.0, "poll_seconds": 5.0, **tickets})
    changed: dict[str, BaseModel] = {"alerting": alerting, "incidents": incidents}
    return settings.model_copy(update=changed)


def received(stand_ins: StandIns) -> dict[str, int]:
    """What the stand-ins hold by now: distinct pages, messages and tickets."""
    return {
        "pagerduty_pages": len(stand_ins.pagerduty.alerts),
        "slack_messages": len(stand_ins.slack.messages),
        "webhook_messages": len(stand_ins.webhook.messages),
        "jira_issues": len(stand_ins.jira.issues),
        "servicenow_incidents": len(stand_ins.servicenow.incidents),
    }
