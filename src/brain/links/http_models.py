"""The shapes of requests and answers below /api/connectors."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from brain import limits
from brain.charter import Severity
from brain.connectors.pages import PageAction
from brain.links.kinds import SINGER
from brain.links.models import Connector, ConnectorStatus, DeliveryState, Direction
from brain.links.receiving import Receipt

Person = Annotated[str, Field(max_length=limits.ID)]
Reason = Annotated[str, Field(max_length=limits.REASON)]


class ConnectorView(BaseModel):
    """A connector and how it is. Times in Unix seconds."""

    name: str = Field(examples=["github"])
    kind: str = Field(examples=["github"])
    direction: Direction
    origin: str = Field(description="The table of brain.toml that sets it up", examples=["connectors.inbound.github"])
    webhook: str | None = Field(description="Where its sender posts to; null for all others")
    status: ConnectorStatus
    status_since: float | None
    error: str | None = Field(description="What went wrong last; null while it is not in ERROR")
    paused_by: str | None
    last_at: float | None = Field(description="When something last came or went")
    received: int = Field(description="Items that became events")
    duplicates: int = Field(description="Items that were known")
    refused: int = Field(description="Deliveries whose signature did not fit")
    failed: int = Field(description="Deliveries that could not be mapped, or messages that the service refused")
    sent: int = Field(description="Messages that the service has accepted")
    waiting: int = Field(description="Messages that are still to be sent")
    cursor_at: float | None = Field(description="When the STATE of a tap was saved")


class ConnectorDetail(ConnectorView):
    """The same, with what only one is shown with."""

    cursor: Any = Field(description="The last STATE of a tap; null for all others")


class DeliveryView(BaseModel):
    """A delivery that is kept, without its body. Times in Unix seconds."""

    id: int
    state: DeliveryState
    received_at: float
    remote: str | None
    bytes: int
    sha256: str
    events: int = Field(description="Events that were made of it")
    error: str | None


class DeliveryDetail(DeliveryView):
    """A delivery as it came."""

    headers: dict[str, str] = Field(description="Those that are kept: no signature, no token")
    body: str = Field(description="Its body")


class ReceiptView(BaseModel):
    """What became of a delivery."""

    id: int | None = Field(description="Its number; null for one that was known, and is not kept again")
    state: DeliveryState
    events: int
    duplicates: int
    error: str | None


class Pausing(BaseModel):
    """Who pauses, and why."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"by": "ann", "reason": "a new mapping"}]}
    )

    by: Person | None = None
    reason: Reason = ""


class Resuming(BaseModel):
    """Who resumes."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"by": "ann"}]})

    by: Person | None = None


class Replaying(BaseModel):
    """What is mapped once more."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"since": "1d"}]})

    delivery: Annotated[int, Field(ge=1, le=limits.COUNT)] | None = Field(None, description="One delivery alone")
    since: Annotated[str, Field(max_length=limits.TYPE)] | None = Field(
        None, description="Deliveries that came since then", examples=["1h"]
    )
    again: bool = Field(False, description="Also items that are events already: their events are made once more")


class NewMessage(BaseModel):
    """A message that an agent sends."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"agent": "agent-7", "title": "the nightly run failed"}]}
    )

    agent: Annotated[str, Field(min_length=1, max_length=limits.ID)] = Field(examples=["agent-7"])
    title: Annotated[str, Field(min_length=1, max_length=limits.TITLE)] = Field(examples=["the nightly run failed"])
    text: Annotated[str, Field(max_length=limits.TEXT)] = ""
    severity: Severity = Severity.MEDIUM
    action: PageAction = Field(PageAction.TRIGGER, description="resolve: what `dedup_key` names is over")
    dedup_key: Annotated[str, Field(max_length=limits.KEY)] = Field("", description="Names what it is about")
    labels: dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=limits.NAME)]] = Field(
        default_factory=dict, max_length=50
    )


class MessageView(BaseModel):
    """A message that is kept, and will be sent."""

    id: str


class AlertGroup(BaseModel):
    """A group of alerts, as Alertmanager's API v2 describes it."""

    labels: dict[str, str] = Field(description="The labels that they were grouped by")
    alerts: list[dict[str, Any]] = Field(description="Labels, annotations, times and status of each")


class TestView(BaseModel):
    """The result of a test."""

    status: ConnectorStatus
    detail: str
    latency_ms: float | None


def connector_view(one: Connector) -> dict[str, Any]:
    """A connector as JSON values."""
    is_webhook = one.id.direction is Direction.INBOUND and one.id.kind != SINGER
    counters = ("received", "duplicates", "refused", "failed", "sent", "waiting")
    return {
        "name": one.id.name,
        "kind": one.id.kind,
        "direction": one.id.direction.value,
        "origin": one.id.origin,
        "webhook": f"/api/connectors/{one.id.name}/webhook" if is_webhook else None,
        "status": one.status.value,
        "status_since": one.status_since,
        "error": one.error,
        "paused_by": one.paused_by,
        "last_at": one.last_at,
        **{name: getattr(one, name) for name in counters},
        "cursor_at": one.cursor_at,
        "cursor": None if one.cursor is None else msgspec.json.decode(one.cursor),
    }


def delivery_view(row: Row[Any]) -> dict[str, Any]:
    """A delivery as JSON values."""
    return {name: getattr(row, name) for name in DeliveryView.model_fields}


def receipt_view(receipt: Receipt) -> ReceiptView:
    """What became of a delivery, as it is answered."""
    return ReceiptView(
        id=receipt.id,
        state=receipt.state,
        events=receipt.events,
        duplicates=receipt.duplicates,
        error=receipt.error,
    )
