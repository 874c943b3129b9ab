"""The settings of incident automation: the table `[incidents]` of brain.toml."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from brain.connectors.secret import Secret


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be a URL such as https://example.atlassian.net, without user, query or fragment")
    return url.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_http_url)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class JiraSettings(BaseModel):
    """Jira Cloud, where each incident is mirrored to an issue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: BaseUrl = Field(description="The site, such as https://example.atlassian.net")
    user: Name = Field(description="E-mail address of the account that the token belongs to")
    token: Secret = Field(description="API token of that account")
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,254}$", description="Key of the project, such as OPS")
    issue_type: Name = Field(default="Task", description="Name of the issue type of new issues")
    priorities: dict[str, Name] = Field(
        default={}, description="Priority by severity (LOW, MEDIUM, HIGH, CRITICAL); none is set without"
    )
    start: Name | None = Field(default="In Progress", description="Transition or status for IN_PROGRESS, and reopening")
    hold: Name | None = Field(default=None, description="Transition or status for ON_HOLD; none: the issue stays")
    resolve: Name = Field(default="Done", description="Transition or status for RESOLVED")
    webhook_secret: Secret | None = Field(default=None, description="Secret of the webhook that Jira signs with")
    settle_seconds: float = Field(
        default=30.0, ge=0, description="How long its search may take to show a new issue; waited for when unsure"
    )


class ServiceNowSettings(BaseModel):
    """ServiceNow, where each incident is mirrored to an incident of its Table API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: BaseUrl = Field(description="The instance, such as https://example.service-now.com")
    user: Name = Field(description="User name of an account with the role itil")
    password: Secret = Field(description="Password of that account")
    close_code: Name = Field(
        default="Solution provided", description="Resolution code set when an incident is resolved"
    )
    hold_reason: str = Field(
        default="1", description="On hold reason: 1 awaiting caller, 3 problem, 4 vendor, 5 change"
    )
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
    jira: JiraSettings | None = Field(default=None, description="Where issues are kept")
    servicenow: ServiceNowSettings | None = Field(default=None, description="Where ServiceNow's incidents are kept")

    @property
    def systems(self) -> tuple[str, ...]:
        """The systems in which each incident has a ticket."""
        return tuple(name for name in ("jira", "servicenow") if getattr(self, name) is not None)
