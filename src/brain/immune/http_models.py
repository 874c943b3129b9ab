"""What the immune plug-in's routes take and give."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.charter import HealthKind, HealthSeverity
from brain.fields import Object, Text
from brain.immune.health_summary import HealthSummary, ModuleHealth
from brain.immune.heartbeats import Heartbeat
from brain.immune.models import HealthEvent
from brain.kit.views import view_of

_EXAMPLE: dict[str, Any] = {
    "severity": "CRITICAL",
    "kind": "AGENT_FAILURE",
    "module": "billing-agent",
    "message": "billing-agent has not answered for 30 s",
    "details": {"restarts": 0},
    "correlation_id": "health_5d0c9a7e4b1f2836",
}


class NewHealthEvent(BaseModel):
    """A health event to be recorded."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    severity: HealthSeverity = Field(description="How much it matters.")
    kind: HealthKind = Field(description="Which kind of event it is.")
    module: str = Field(min_length=1, max_length=limits.ID, description="Which module, agent or service it is about.")
    message: Text = Field(description="What happened, for a person to read.")
    details: Object = Field(default_factory=dict, description="The reporter's own data, at most 64 KiB.")
    correlation_id: str | None = Field(
        None, min_length=1, max_length=limits.CORRELATION_ID, description="What it belongs to; null begins a new one."
    )


class HealthEventNumber(BaseModel):
    """Where a health event was recorded."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{"id": 42}]})

    id: int = Field(description="The event's number, counted from 1.")


_BEAT: dict[str, Any] = {"agent_id": "billing-agent", "interval_seconds": 10.0}


class NewHeartbeat(BaseModel):
    """A sign of life of an agent."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{**_BEAT, "resources": {"memory": 0.62}}]}
    )

    agent_id: str = Field(min_length=1, max_length=limits.NAME, pattern=r"^[^\x00]*$", description="The agent.")
    interval_seconds: float | None = Field(
        None, ge=0.1, le=86_400, description="Seconds until the next one; null: learned from the gaps between them."
    )
    resources: dict[Annotated[str, Field(min_length=1, max_length=50)], Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict,
        max_length=20,
        description="What share of each resource is in use: RESOURCE_EXHAUSTION from 0.9, CRITICAL from 0.97.",
    )


HeartbeatView: type[BaseModel] = view_of(
    Heartbeat, example={**_BEAT, "seen_at": 1703001234.5, "due_at": 1703001264.5, "failed_at": None}
)
_SUMMARY: dict[str, Any] = {
    "minutes": 60,
    "total": 3,
    "by_severity": {"INFO": 1, "WARNING": 1, "CRITICAL": 1},
    "by_kind": {"AGENT_FAILURE": 1, "ERROR_SPIKE": 1, "SELF_HEALING_ACTION": 1},
    "score": 92,
    "status": "HEALTHY",
    "reasons": [
        {"points": 5.0, "text": "billing-agent: 1 CRITICAL AGENT_FAILURE, 1 of them healed"},
        {"points": 3.0, "text": "search-agent: 1 WARNING ERROR_SPIKE"},
    ],
}
HealthEventView: type[BaseModel] = view_of(HealthEvent, example={**_EXAMPLE, "id": 42, "timestamp": 1703001234.567})
HealthSummaryView: type[BaseModel] = view_of(HealthSummary, example=_SUMMARY)
_MODULE: dict[str, Any] = {
    "module": "search-agent",
    "score": 97,
    "status": "HEALTHY",
    "reasons": [{"points": 3.0, "text": "search-agent: 1 WARNING ERROR_SPIKE"}],
}
ModuleHealthView: type[BaseModel] = view_of(ModuleHealth, example=_MODULE)
