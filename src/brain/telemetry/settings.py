"""The table [telemetry] of brain.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain.kit.limits import Direction
from brain.secret import Secret


class Price(BaseModel):
    """The price of a model, in the currency of the table, for a million tokens."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0, allow_inf_nan=False, description="A million input tokens")
    output: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="A million output tokens")
    cached: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="A million input tokens that were cached; as input when left out",
    )


class Forward(BaseModel):
    """An OpenTelemetry backend that gets what came in, by OTLP over HTTP."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    endpoint: str = Field(min_length=1, description="Its base URL; /v1/traces, /v1/metrics and /v1/logs are appended")
    headers: Mapping[str, Secret] = Field(default_factory=dict, description="Headers to send, such as Authorization")
    content: bool = Field(default=False, description="Whether prompts, answers and arguments of tools are sent along")
    queue_bytes: int = Field(
        default=64 << 20, ge=1 << 20, description="Most bytes that wait; newer ones are dropped then"
    )


class LimitSettings(BaseModel):
    """A limit on a value of sources; beyond it there is one event and one health event, and one event at its end."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    value: str = Field(min_length=1, max_length=200, description="The value's name")
    source: str = Field(default="*", min_length=1, max_length=200, description="Which sources, * for any characters")
    limit: float = Field(allow_inf_nan=False, description="The level that must not be reached")
    clear: float | None = Field(
        default=None, allow_inf_nan=False, description="The level on the good side that ends it; else the limit"
    )
    direction: Direction = Field(default=Direction.ABOVE, description="On which side the trouble is: above or below")
    hold: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Seconds that it must hold")
    clear_hold: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Seconds that its end must hold")


class TelemetrySettings(BaseModel):
    """What is taken in, how it is summed up, and where it goes."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    body_bytes: int = Field(
        default=16 << 20, ge=1 << 16, description="Largest body of OTLP, before and after gzip, in bytes"
    )
    waiting_bytes: int = Field(
        default=64 << 20, ge=1 << 16, description="Most bytes of OTLP that wait to be stored; more is answered 503"
    )
    usage_seconds: int = Field(
        default=60, ge=1, description="Width of a window of usage, in seconds; one event an agent"
    )
    repeated_seconds: int = Field(
        default=900, ge=60, description="Seconds for which a span that is sent again is recognised"
    )
    parent_seconds: float = Field(
        default=30.0, ge=0, description="Seconds for which a call without an agent waits for the span of its agent"
    )
    prices: Mapping[str, Price] = Field(default_factory=dict, description="Prices by model")
    currency: str = Field(default="USD", min_length=1, max_length=10, description="Currency of the prices")
    credit: int = Field(default=1000, ge=1, le=100_000, description="Samples that a source may send before an answer")
    publish_seconds: int = Field(
        default=60, ge=10, description="Seconds between two telemetry.metrics_published of a source"
    )
    expected_interval: float = Field(
        default=10.0, gt=0, description="Seconds between two samples of a source that names no interval of its own"
    )
    stale_after: float = Field(
        default=3.0, ge=1, description="Expected intervals without a sample after which a source is stale"
    )
    keep_days: float = Field(default=30.0, gt=0, description="Days that windows and usage are kept")
    limits: Mapping[str, LimitSettings] = Field(default_factory=dict, description="Limits on values, by a name each")
    forward: Forward | None = Field(default=None, description="An OpenTelemetry backend that gets all that comes in")
