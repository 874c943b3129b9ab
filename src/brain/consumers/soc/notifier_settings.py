"""The settings of one notifier: `[soc.notifiers.NAME]`, by its `kind`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from brain.connectors.secret import Secret

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$", max_length=2_000)]


class _Notifier(BaseModel):
    """What all kinds have: how many pages at most."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    at_most: int = Field(60, ge=1, description="Pages that it is sent within `per` seconds; more are held back.")
    per: Annotated[float, Field(gt=0, le=86_400)] = Field(60.0, description="Seconds that `at_most` is about.")


class PagerDutyNotifier(_Notifier):
    """PagerDuty, Events API v2."""

    kind: Literal["pagerduty"]
    routing_key: Secret = Field(description="The integration key of the service, 32 characters.")
    url: HttpUrl = Field("https://events.pagerduty.com", description="EU accounts: https://events.eu.pagerduty.com")


class SlackNotifier(_Notifier):
    """A Slack channel, by an incoming webhook."""

    kind: Literal["slack"]
    url: Secret = Field(description="The incoming webhook's URL, which is itself the secret.")


class WebhookNotifier(_Notifier):
    """Any HTTP service: JSON, signed with HMAC-SHA256."""

    kind: Literal["webhook"]
    url: HttpUrl = Field(description="Where pages are posted to.")
    secret: Secret = Field(description="The key of the signature.")


class EmailNotifier(_Notifier):
    """E-mail, by SMTP."""

    kind: Literal["email"]
    host: str = Field(min_length=1, description="The mail server.")
    port: int = Field(587, ge=1, le=65535, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="How the connection is protected.")
    username: str | None = Field(None, description="To log in with.")
    password: Secret | None = Field(None, description="To log in with.")
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", description="The address that mails come from.")
    to: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(min_length=1, description="Receivers.")

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if (self.username is None) is not (self.password is None):
            raise ValueError("username and password: give both, or neither")
        return self


class AppriseNotifier(_Notifier):
    """Whatever the package apprise reaches."""

    kind: Literal["apprise"]
    url: Secret = Field(description="The service's URL as apprise writes it, such as matrix://...")


Notifier = Annotated[
    PagerDutyNotifier | SlackNotifier | WebhookNotifier | EmailNotifier | AppriseNotifier, Field(discriminator="kind")
]
