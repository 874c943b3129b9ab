"""The settings of connectors: the table `[connectors]` of brain.toml. docs/webhooks-in.md explains them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from brain.connectors.notifiers import NotifierSettings, read_notifier
from brain.connectors.urls import BaseUrl
from brain.errors import InvalidInput
from brain.links.mapping import parse_mapping
from brain.links.sources import parse_source
from brain.secret import Secret

NAME = r"[a-z0-9][a-z0-9_\-]{0,99}"
ConnectorName = Annotated[str, Field(pattern=rf"^{NAME}$")]
InboundKind = Literal[
    "alertmanager", "cloudevents", "github", "gitlab", "pagerduty", "sentry", "singer", "standard", "stripe"
]
Scheme = Literal["github", "gitlab", "pagerduty", "sentry", "standard", "stripe", "token"]


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Alternatives = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
Parts = Annotated[tuple[str | tuple[str, ...], ...], BeforeValidator(_one_or_more)]


class _Table(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class MappingSettings(_Table):
    """What takes the place of the kind's own mapping, key by key."""

    type: str | None = Field(None, pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$", description="Type of the events.")
    items: str | None = Field(None, description="Path of a list in the body; each member becomes an event.")
    key: Parts | None = Field(None, description="Parts of what an item is known by.")
    name: Parts | None = Field(None, description="Parts of its name, joined by full stops.")
    subject: Alternatives | None = Field(None, description="What it happened to.")
    target: Alternatives | None = Field(None, description="The event's target.")
    correlation_id: Alternatives | None = Field(None, description="The event's correlation id.")
    occurred_at: Alternatives | None = Field(None, description="When it happened.")
    fields: dict[str, Alternatives] | None = Field(None, description="The event's fields, by name.")

    @model_validator(mode="after")
    def _readable(self) -> Self:
        for name, value in self.model_dump(exclude_none=True, exclude={"type"}).items():
            for text in _texts(value):
                try:
                    parse_source(text)
                except InvalidInput as error:
                    raise ValueError(f"{name}: {error}") from None
        return self


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    members = value.values() if isinstance(value, Mapping) else value
    return [text for member in members for text in _texts(member)]


class InboundSettings(_Table):
    """A sender of webhooks, or a Singer tap."""

    kind: InboundKind = Field(description="The sender: github, gitlab, sentry, alertmanager, ..., or singer.")
    secret: Secret | None = Field(None, description="What it signs with, or its bearer token; not for singer.")
    former_secret: Secret | None = Field(None, description="Accepted as well, while the secret is being changed.")
    scheme: Scheme | None = Field(None, description="How it signs; by its kind when left out.")
    tolerance: float = Field(300.0, gt=0, le=86_400, description="Seconds that a signed time may be away from ours.")
    body_limit: int = Field(1 << 20, ge=1024, description="Largest body, in bytes; the setting body_limit bounds it.")
    remember_days: float = Field(30.0, gt=0, le=3660, description="Days after which an item may become an event again.")
    mapping: MappingSettings = Field(default_factory=MappingSettings, description="Where the events' values come from.")
    command: tuple[str, ...] = Field((), description="The tap and its arguments; none: it is read from standard input.")
    state_option: str = Field("--state", description="The tap's option for the file with its last STATE.")
    batch: int = Field(500, ge=1, le=5000, description="Most records of a tap in one transaction.")
    decimals: Literal["text", "number"] = Field(
        "text", description="What numbers with a fraction become: texts of the same digits, or 64-bit floats."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.kind == "singer":
            if self.secret is not None or self.former_secret is not None or self.scheme is not None:
                raise ValueError("a tap has no secret and no scheme; take them out")
        elif self.secret is None:
            raise ValueError('needs a secret, such as {env = "NAME"}')
        elif self.command:
            raise ValueError("a command is for the kind singer; take it out")
        parse_mapping(self.kind, self.mapping.model_dump(exclude_none=True))
        return self

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Those that a delivery may be signed with."""
        return tuple(secret for secret in (self.secret, self.former_secret) if secret is not None)


class AlertmanagerSettings(NotifierSettings):
    """Alertmanager's API v2, to which alerts are posted."""

    url: BaseUrl = Field(description="Where Alertmanager is: http://127.0.0.1:9093")
    token: Secret | None = Field(None, description="Bearer token, where it stands behind one.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of every alert.")
    firing_seconds: float = Field(
        3600.0, ge=60, le=31_536_000, description="Seconds after which an alert ends that nobody sends again."
    )


def _read_outbound(table: object) -> NotifierSettings:
    if isinstance(table, Mapping) and table.get("kind") == "alertmanager":
        return AlertmanagerSettings.model_validate(table)
    return read_notifier(table)


AnyOutbound = Annotated[SerializeAsAny[NotifierSettings], BeforeValidator(_read_outbound)]


class ConnectorSettings(_Table):
    """The table `[connectors]`."""

    inbound: dict[ConnectorName, InboundSettings] = Field(
        default_factory=dict, description="Senders of webhooks and Singer taps, by name."
    )
    outbound: dict[ConnectorName, AnyOutbound] = Field(
        default_factory=dict, description="Services that agents may send to: alertmanager, or a kind of notifier."
    )
    keep_days: float = Field(7.0, gt=0, le=3660, description="Days that deliveries are kept for replay.")
    refused_seconds: float = Field(
        60.0, ge=1, le=3600, description="Refused signatures of one address within so long are one event."
    )
    forgeries: int = Field(3, ge=1, description="Refused signatures of one address that make a threat.")
    error_seconds: float = Field(300.0, ge=1, description="Seconds in ERROR after which a health event is reported.")

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        if twice := sorted(self.inbound.keys() & self.outbound.keys()):
            raise ValueError(f"{twice[0]!r} is both inbound and outbound; give one of them another name")
        return self
