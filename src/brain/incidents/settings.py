"""The settings of incident automation: the table `[incidents]` of brain.toml."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from brain.connectors.jira import JiraSettings
from brain.connectors.servicenow import ServiceNowSettings
from brain.secret import Secret


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://example.atlassian.net, without user, query or fragment")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_http_url)]


class JiraMirror(JiraSettings):
    """Jira Cloud, where each incident is mirrored to an issue."""

    url: BaseUrl = Field(description="The site, such as https://example.atlassian.net")
    webhook_secret: Secret | None = Field(default=None, description="Secret of the webhook that Jira signs with")


class ServiceNowMirror(ServiceNowSettings):
    """ServiceNow, where each incident is mirrored to a record of its table `incident`."""

    url: BaseUrl = Field(description="The instance, such as https://example.service-now.com")
    webhook_secret: Secret | None = Field(default=None, description="Secret that its business rule signs with")


class IncidentSettings(BaseModel):
    """What the consumer needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reopen_window: float = Field(
        default=86_400.0, ge=0, description="Seconds after its resolution in which a story that comes back reopens it"
    )
    decision_window: float = Field(
        default=600.0,
        ge=0,
        le=86_400,
        description="Seconds before, in which an agent's decisions are behind an incident",
    )
    comment_seconds: float = Field(default=60.0, ge=0, description="Least seconds between two comments on one ticket")
    poll_seconds: float | None = Field(
        default=60.0, gt=0, description="Seconds between two looks at an open ticket's state; none: webhooks alone"
    )
    per_minute: int = Field(default=120, ge=1, description="Most tickets brought up to date a minute in one system")
    lease_seconds: float = Field(
        default=120.0, ge=2, description="Seconds after which another process takes over what a dead one was sending"
    )
    jira: JiraMirror | None = Field(default=None, description="Where issues are kept")
    servicenow: ServiceNowMirror | None = Field(default=None, description="Where ServiceNow's incidents are kept")

    def settle_seconds(self, system: str) -> float:
        """How long a system may take to show a new ticket in a search."""
        mirror = {"jira": self.jira, "servicenow": self.servicenow}[system]
        return 0.0 if mirror is None else mirror.settle_seconds

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems in which each incident has a ticket."""
        return tuple(name for name in ("jira", "servicenow") if getattr(self, name) is not None)
