"""The settings of one notifier: `[soc.notifiers.NAME]`, by its `kind`; the rest is the connector's own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from brain.connectors.apprise import AppriseSettings
from brain.connectors.email import EmailSettings
from brain.connectors.pagerduty import PagerDutySettings
from brain.connectors.slack import SlackSettings
from brain.connectors.webhook import WebhookSettings


class _Limited(BaseModel):
    """What all kinds have: how many pages at most."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    at_most: int = Field(60, ge=1, description="Pages that it is sent within `per` seconds; more are held back.")
    per: Annotated[float, Field(gt=0, le=86_400)] = Field(60.0, description="Seconds that `at_most` is about.")


class PagerDutyNotifier(PagerDutySettings, _Limited):
    """PagerDuty, Events API v2."""

    kind: Literal["pagerduty"]


class SlackNotifier(SlackSettings, _Limited):
    """A Slack channel, by an incoming webhook."""

    kind: Literal["slack"]


class WebhookNotifier(WebhookSettings, _Limited):
    """Any HTTP service: the whole page as signed JSON."""

    kind: Literal["webhook"]


class EmailNotifier(EmailSettings, _Limited):
    """E-mail, through an SMTP server."""

    kind: Literal["email"]
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(min_length=1, description="Receivers.")


class AppriseNotifier(AppriseSettings, _Limited):
    """One of the many services that the package apprise knows."""

    kind: Literal["apprise"]


Notifier = Annotated[
    PagerDutyNotifier | SlackNotifier | WebhookNotifier | EmailNotifier | AppriseNotifier, Field(discriminator="kind")
]
