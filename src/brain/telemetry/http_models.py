"""The models of telemetry's answers."""

from __future__ import annotations

from pydantic import BaseModel, Field


class SourceView(BaseModel):
    """A source."""

    id: str
    state: str = Field(description="live, stale or closed")
    connected: bool = Field(description="Whether a connection holds it")
    run: str = Field(description="The numbering that `seq` belongs to")
    seq: int = Field(description="The last sequence number that is stored")
    samples: int = Field(description="Samples of this run")
    lost: int = Field(description="Samples of this run that were passed over")
    repeated: int = Field(description="Samples of this run that came again")
    seen_at: float = Field(description="When it was seen last, in Unix seconds")
    measured_at: float = Field(description="The time of its last sample, in Unix seconds")
    connected_at: float
    expected_interval: float = Field(description="Seconds between two samples, as expected")
    crossed: list[str] = Field(description="Limits that it is beyond")


class SourceDetail(SourceView):
    """A source with its last values."""

    values: dict[str, float]


class WindowView(BaseModel):
    """The samples of one value in one window of 10 s."""

    name: str
    at: int = Field(description="The start of the window, in Unix seconds")
    min: float
    max: float
    mean: float
    count: int
    last: float


class UsageView(BaseModel):
    """What was used. Which of the first fields there are depends on the grouping."""

    agent: str | None = None
    kind: str | None = Field(default=None, description="model or tool")
    name: str | None = Field(default=None, description="The model or the tool")
    provider: str | None = None
    operation: str | None = None
    calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int = Field(description="Of the input tokens")
    reasoning_tokens: int = Field(description="Of the output tokens, where the package says so")
    seconds: float
    cost: float | None = Field(description="By the price table; null where no model has a price")
    unpriced_calls: int = Field(description="Calls of models without a price, which `cost` leaves out")


class ServiceView(BaseModel):
    """A service that sends OpenTelemetry. Requests that came again are counted again here."""

    service: str
    traces: int = Field(description="Spans")
    metrics: int = Field(description="Data points")
    logs: int = Field(description="Log records")
    refused: int = Field(description="Spans without valid ids")
    last_at: float


class TelemetryInfo(BaseModel):
    """How telemetry is set up here."""

    credit: int
    usage_seconds: int
    currency: str
    websocket: bool = Field(description="Whether sources can connect: the extra `telemetry` is installed")
    protobuf: bool = Field(description="Whether OTLP in protobuf can be read: likewise")
    forwards: bool = Field(description="Whether an OpenTelemetry backend gets what comes in")
